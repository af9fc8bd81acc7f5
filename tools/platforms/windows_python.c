/* python.exe for wine: passes its arguments to the interpreter in python311.dll, and forwards nothing else. */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

/* Ask Linux for the tile registers of AMX. Programs for Windows, such as onnxruntime, use them without asking. */
static void request_amx(void) {
    long long result, arch_prctl = 158, request = 0x1023, tile_data = 18;
    __asm__ volatile("syscall" : "=a"(result) : "a"(arch_prctl), "D"(request), "S"(tile_data) : "rcx", "r11", "memory");
}

int wmain(int argc, wchar_t **argv) {
    HMODULE dll = LoadLibraryW(L"python311.dll");
    if (!dll) {
        fprintf(stderr, "python311.dll can't be loaded: error %lu\n", GetLastError());
        return 3;
    }
    request_amx();
    int (*run)(int, wchar_t **) = (int (*)(int, wchar_t **))(void *)GetProcAddress(dll, "Py_Main");
    return run(argc, argv);
}
