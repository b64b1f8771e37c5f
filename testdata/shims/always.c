/* Keys ask for the PIN at each signature: CKA_ALWAYS_AUTHENTICATE. The right PIN is SHIM_PIN. */
#include "shim.h"

static int allowed;

static CK_RV get(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	CK_RV rv = real->C_GetAttributeValue(session, object, attributes, count);
	if (rv == CKR_OK && count == 1 && attributes->type == CKA_ALWAYS_AUTHENTICATE && attributes->pValue)
		*(CK_BBOOL *)attributes->pValue = CK_TRUE;
	return rv;
}

static CK_RV init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	allowed = 0;
	return real->C_SignInit(session, mechanism, key);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	const char *right = getenv("SHIM_PIN");
	if (user != CKU_CONTEXT_SPECIFIC) {
		note("C_Login as user");
		return real->C_Login(session, user, pin, length);
	}
	note("C_Login for one signature");
	if (!right || length != strlen(right) || memcmp(pin, right, length))
		return CKR_PIN_INCORRECT;
	allowed = 1;
	return CKR_OK;
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR size)
{
	if (!allowed)
		return CKR_USER_NOT_LOGGED_IN;
	if (signature)
		allowed = 0;
	return real->C_Sign(session, data, length, signature, size);
}

static void change(void)
{
	shown.C_GetAttributeValue = get;
	shown.C_SignInit = init;
	shown.C_Login = login;
	shown.C_Sign = sign;
}
