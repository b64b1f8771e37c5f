/* The token's flags say that its PIN is locked, and every log-in of the user confirms it. */
#include "shim.h"

static CK_RV info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR token)
{
	CK_RV rv = real->C_GetTokenInfo(slot, token);
	if (rv == CKR_OK)
		token->flags |= CKF_USER_PIN_LOCKED;
	return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	note("C_Login");
	return user == CKU_USER ? CKR_PIN_LOCKED : real->C_Login(session, user, pin, length);
}

static void change(void)
{
	shown.C_GetTokenInfo = info;
	shown.C_Login = login;
}
