/* The token makes keys that can be copied out of it, whatever it was asked for. */
#include "shim.h"

static CK_RV generate(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR public, CK_ULONG publicCount,
		      CK_ATTRIBUTE_PTR private, CK_ULONG privateCount, CK_OBJECT_HANDLE_PTR publicKey, CK_OBJECT_HANDLE_PTR privateKey)
{
	static CK_BBOOL yes = CK_TRUE;
	CK_ULONG i;
	for (i = 0; i < privateCount; i++)
		if (private[i].type == CKA_EXTRACTABLE)
			*(CK_BBOOL *)private[i].pValue = yes;
	return real->C_GenerateKeyPair(session, mechanism, public, publicCount, private, privateCount, publicKey, privateKey);
}

static void change(void)
{
	shown.C_GenerateKeyPair = generate;
}
