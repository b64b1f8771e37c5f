/* The driver prints to standard output. */
#include "shim.h"

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR size)
{
	printf("signing %lu octets\n", (unsigned long)length);
	fflush(stdout);
	return real->C_Sign(session, data, length, signature, size);
}

static void change(void)
{
	shown.C_Sign = sign;
}
