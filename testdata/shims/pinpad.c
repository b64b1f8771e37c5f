/* The PIN is entered on the reader: a log-in must bring none. The person at the reader enters SHIM_PIN. */
#include "shim.h"

static CK_RV info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR token)
{
	CK_RV rv = real->C_GetTokenInfo(slot, token);
	if (rv == CKR_OK)
		token->flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
	return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	char *entered = getenv("SHIM_PIN");
	note(pin == NULL_PTR ? "C_Login without a PIN" : "C_Login with a PIN");
	if (pin != NULL_PTR)
		return CKR_PIN_INCORRECT;
	if (!entered)
		return CKR_FUNCTION_CANCELED;
	return real->C_Login(session, user, (CK_UTF8CHAR_PTR)entered, strlen(entered));
}

static void change(void)
{
	shown.C_GetTokenInfo = info;
	shown.C_Login = login;
}
