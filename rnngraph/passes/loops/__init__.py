"""What passes over scans share: which carries need each other, and ops over one step as ops over all of them."""
