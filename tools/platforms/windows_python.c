/* python.exe for wine: passes its arguments to the interpreter in python311.dll, and forwards nothing else. */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

int wmain(int argc, wchar_t **argv) {
    HMODULE dll = LoadLibraryW(L"python311.dll");
    if (!dll) {
        fprintf(stderr, "python311.dll can't be loaded: error %lu\n", GetLastError());
        return 3;
    }
    int (*run)(int, wchar_t **) = (int (*)(int, wchar_t **))(void *)GetProcAddress(dll, "Py_Main");
    return run(argc, argv);
}
