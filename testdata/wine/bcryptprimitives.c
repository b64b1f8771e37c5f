/* Wine 8 has no bcryptprimitives.dll, in whose absence no Go program starts. This is that library's one function that Go
 * needs, for tests under Wine only: it is put into the test's own prefix and never shipped. */
#include <windows.h>

BOOLEAN WINAPI SystemFunction036(PVOID buffer, ULONG size); /* advapi32: RtlGenRandom */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
    while (size > 0) {
        ULONG piece = size > (256u << 20) ? 256u << 20 : (ULONG)size;
        if (!SystemFunction036(data, piece))
            return FALSE;
        data += piece;
        size -= piece;
    }
    return TRUE;
}
