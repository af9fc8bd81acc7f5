/* A recurrent net on a Cortex-M4: runs a few steps, and prints the outputs beside those that Python computed.
 *
 * The program has no operating system: only a vector table, code that enables the FPU, and calls of the debugger
 * (semihosting), which QEMU answers, to print and to exit. On a board, the board's start-up code replaces them. */

#include <stdint.h>

#include "net.h"
#include "example.h"

extern uint32_t data_start, data_end, data_source, bss_start, bss_end, stack_top;

static uint64_t memory[(NET_STATE_SIZE + 7) / 8];

static int semihosting(int call, const void *argument)
{
    register int r0 __asm__("r0") = call;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void print(const char *text)
{
    semihosting(0x04, text); /* SYS_WRITE0 */
}

static void print_millionths(float value)
{
    char text[16], *at = text + sizeof text - 1;
    int32_t number = (int32_t)(value * 1e6f + (value < 0 ? -0.5f : 0.5f)), rest = number < 0 ? -number : number;
    int digits = 0;
    *at = 0;
    while (digits < 7 || rest) {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
        if (++digits == 6)
            *--at = '.';
    }
    if (number < 0)
        *--at = '-';
    print(at);
}

int main(void)
{
    static float found[EXAMPLE_UNITS];
    float largest = 0;
    if (net_init(memory) != 0)
        return 1;
    for (int t = 0; t < EXAMPLE_STEPS; t++) {
        net_step(memory, example_x[t], found);
        print("step ");
        for (int unit = 0; unit < EXAMPLE_UNITS; unit++) {
            float difference = found[unit] - example_y[t][unit];
            difference = difference < 0 ? -difference : difference;
            largest = difference > largest ? difference : largest;
            print(unit ? " " : "");
            print_millionths(found[unit]);
        }
        print("\n");
    }
    print(largest <= 1e-5f ? "ok, largest difference " : "wrong, largest difference ");
    print_millionths(largest);
    print("\n");
    return largest > 1e-5f;
}

void start(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: full access to the FPU */
    __asm__ volatile("dsb\n isb");
    for (uint32_t *from = &data_source, *to = &data_start; to < &data_end; from++, to++)
        *to = *from;
    for (uint32_t *to = &bss_start; to < &bss_end; to++)
        *to = 0;
    uint32_t end[2] = {0x20026, (uint32_t)main()}; /* ADP_Stopped_ApplicationExit, and the exit code */
    semihosting(0x20, end);                        /* SYS_EXIT_EXTENDED */
    for (;;) {
    }
}

static void fault(void)
{
    print("fault\n");
    uint32_t end[2] = {0x20026, 2};
    semihosting(0x20, end);
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const void *vectors[16] = {
    &stack_top, (void *)start, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};
