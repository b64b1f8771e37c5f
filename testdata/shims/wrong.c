/* One bit of each signature is wrong, as in a fault attack. */
#include "shim.h"

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR size)
{
	CK_RV rv = real->C_Sign(session, data, length, signature, size);
	if (rv == CKR_OK && signature)
		signature[*size / 2] ^= 1;
	return rv;
}

static void change(void)
{
	shown.C_Sign = sign;
}
