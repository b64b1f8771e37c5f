/* The token has no room left. */
#include "shim.h"

static CK_RV generate(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR public, CK_ULONG publicCount,
		      CK_ATTRIBUTE_PTR private, CK_ULONG privateCount, CK_OBJECT_HANDLE_PTR publicKey, CK_OBJECT_HANDLE_PTR privateKey)
{
	return CKR_DEVICE_MEMORY;
}

static void change(void)
{
	shown.C_GenerateKeyPair = generate;
}
