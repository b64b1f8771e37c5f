/* The token is pulled out while it signs. */
#include "shim.h"

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR size)
{
	return CKR_DEVICE_REMOVED;
}

static void change(void)
{
	shown.C_Sign = sign;
}
