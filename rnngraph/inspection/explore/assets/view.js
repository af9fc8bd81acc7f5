// The picture's view: fitted to its pane, or zoomed and moved by wheel, pinch, drag and keys.

const VIEW = { x: 0, y: 0, scale: 1, isFitted: true, width: 0, height: 0 };
const SCALES = [0.05, 4];
const AROUND = 8; // pixels around a fitted picture
const BETWEEN = 16; // pixels between two graphs, in the picture's own
const DRAG = 4; // pixels that a pointer moves before it drags and no longer clicks
const pointers = new Map(); // of pressed pointers, where they are

const shownSizes = () =>
  NETS.filter((net) => net.svg.parentElement.classList.contains("shown")).map(({ svg }) => [
    numberOf(svg, "width"),
    numberOf(svg, "height"),
  ]);

// The scale at which graphs fit beside each other and below each other: the larger one, and its direction.
function fitting(sizes) {
  const [widths, heights] = [sizes.map(([width]) => width), sizes.map(([, height]) => height)];
  const sum = (numbers) => numbers.reduce((all, number) => all + number, BETWEEN * (numbers.length - 1));
  const [wide, high] = [VIEW.width - 2 * AROUND, VIEW.height - 2 * AROUND];
  const scaleOf = (width, height) => Math.min(1, wide / width, high / height);
  const beside = scaleOf(sum(widths), Math.max(...heights));
  const below = scaleOf(Math.max(...widths), sum(heights));
  return beside >= below
    ? { scale: beside, direction: "row", width: sum(widths) }
    : { scale: below, direction: "column", width: Math.max(...widths) };
}

function applyView() {
  const nets = document.querySelector("#picture .nets");
  nets.style.transform = `translate(${VIEW.x}px, ${VIEW.y}px) scale(${VIEW.scale})`;
  byId("fit").setAttribute("aria-pressed", String(VIEW.isFitted));
}

function fit() {
  VIEW.isFitted = true;
  const sizes = shownSizes();
  if (!sizes.length || VIEW.width <= 2 * AROUND || VIEW.height <= 2 * AROUND) return;
  const { scale, direction, width } = fitting(sizes);
  document.querySelector("#picture .nets").style.flexDirection = direction;
  Object.assign(VIEW, { scale, x: (VIEW.width - scale * width) / 2, y: AROUND });
  applyView();
}

// Zooms about a point of the pane, by default its middle.
function zoom(factor, x = VIEW.width / 2, y = VIEW.height / 2) {
  const scale = Math.min(SCALES[1], Math.max(SCALES[0], VIEW.scale * factor));
  const by = scale / VIEW.scale;
  Object.assign(VIEW, { scale, x: x - by * (x - VIEW.x), y: y - by * (y - VIEW.y), isFitted: false });
  applyView();
}

function pan(x, y) {
  Object.assign(VIEW, { x: VIEW.x + x, y: VIEW.y + y, isFitted: false });
  applyView();
}

// Moves the picture as little as shows an element.
function reveal(element) {
  if (VIEW.isFitted || !element || !VIEW.width) return;
  const pane = byId("picture").getBoundingClientRect();
  const place = element.getBoundingClientRect();
  const by = (start, end, from, to) =>
    start < from || end - start > to - from ? from - start : end > to ? to - end : 0;
  const x = by(place.left, place.right, pane.left + AROUND, pane.right - AROUND);
  const y = by(place.top, place.bottom, pane.top + AROUND, pane.bottom - AROUND);
  if (x || y) pan(x, y);
}

function readyView() {
  const picture = byId("picture");
  const at = (event) => {
    const { left, top } = picture.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  let isDragging = false;
  let start = null;
  picture.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button !== 0) return;
    if (!pointers.size) [isDragging, start] = [false, at(event)];
    pointers.set(event.pointerId, at(event));
  });
  picture.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = at(event);
    isDragging ||= pointers.size > 1 || Math.hypot(now[0] - start[0], now[1] - start[1]) > DRAG;
    if (!isDragging) return;
    if (!picture.hasPointerCapture(event.pointerId)) picture.setPointerCapture(event.pointerId);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, now);
    if (other) {
      const apart = (one) => Math.max(1, Math.hypot(one[0] - other[0], one[1] - other[1]));
      zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    } else pan(now[0] - before[0], now[1] - before[1]);
  });
  for (const name of ["pointerup", "pointercancel"])
    picture.addEventListener(name, (event) => pointers.delete(event.pointerId));
  picture.addEventListener(
    "click",
    (event) => {
      if (isDragging) event.stopPropagation(); // the end of a drag selects nothing
      isDragging = false;
    },
    true,
  );
  picture.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const unit = event.deltaMode ? 16 : 1; // lines
      if (event.shiftKey) pan(-unit * (event.deltaX || event.deltaY), 0);
      else zoom(Math.exp(-unit * event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), ...at(event)); // ctrl: a pinch
    },
    { passive: false },
  );
  new ResizeObserver(([{ contentRect }]) => {
    Object.assign(VIEW, { width: contentRect.width, height: contentRect.height });
    if (VIEW.isFitted) fit();
  }).observe(picture);
  [VIEW.width, VIEW.height] = [picture.clientWidth, picture.clientHeight];
  byId("out").addEventListener("click", () => zoom(1 / 1.25));
  byId("in").addEventListener("click", () => zoom(1.25));
  byId("fit").addEventListener("click", fit);
}
