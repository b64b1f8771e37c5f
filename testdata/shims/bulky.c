/* The token with the label "Pełna" has as many objects as anybody reads, and all they say is as long as may be. */
#include "shim.h"

#define LONG 32768

static int full(CK_SESSION_HANDLE session)
{
	static const char label[] = "Pe\305\202na";
	CK_SESSION_INFO about;
	CK_TOKEN_INFO token;
	return real->C_GetSessionInfo(session, &about) == CKR_OK && real->C_GetTokenInfo(about.slotID, &token) == CKR_OK &&
	       !memcmp(token.label, label, sizeof label - 1);
}

static CK_RV find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG room, CK_ULONG_PTR count)
{
	if (!full(session))
		return real->C_FindObjects(session, objects, room, count);
	for (*count = 0; *count < room; (*count)++)
		objects[*count] = 1 + *count;
	return CKR_OK;
}

static CK_RV get(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	if (!full(session))
		return real->C_GetAttributeValue(session, object, attributes, count);
	for (CK_ULONG i = 0; i < count; i++) {
		CK_ULONG length = attributes[i].type == CKA_KEY_TYPE || attributes[i].type == CKA_CERTIFICATE_TYPE ? sizeof(CK_ULONG) : LONG;
		if (attributes[i].pValue) /* key type 0 is RSA, certificate type 0 X.509, and '<' takes six octets in JSON */
			memset(attributes[i].pValue, length == LONG ? '<' : 0, length);
		attributes[i].ulValueLen = length;
	}
	return CKR_OK;
}

static void change(void)
{
	shown.C_FindObjects = find;
	shown.C_GetAttributeValue = get;
}
