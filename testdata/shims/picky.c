/* The token wants no word about CKA_DECRYPT and CKA_UNWRAP, and lets an ID be given only once. */
#include "shim.h"

static CK_RV generate(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR public, CK_ULONG publicCount,
		      CK_ATTRIBUTE_PTR private, CK_ULONG privateCount, CK_OBJECT_HANDLE_PTR publicKey, CK_OBJECT_HANDLE_PTR privateKey)
{
	CK_ULONG i;
	for (i = 0; i < privateCount; i++)
		if (private[i].type == CKA_DECRYPT || private[i].type == CKA_UNWRAP)
			return CKR_ATTRIBUTE_TYPE_INVALID;
	return real->C_GenerateKeyPair(session, mechanism, public, publicCount, private, privateCount, publicKey, privateKey);
}

static CK_RV set(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	return CKR_ATTRIBUTE_READ_ONLY;
}

static void change(void)
{
	shown.C_GenerateKeyPair = generate;
	shown.C_SetAttributeValue = set;
}
