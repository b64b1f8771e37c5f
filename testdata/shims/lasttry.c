/* One try is left; a wrong PIN locks the token, which its flags then say. */
#include "shim.h"

static int locked;

static CK_RV info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR token)
{
	CK_RV rv = real->C_GetTokenInfo(slot, token);
	if (rv == CKR_OK)
		token->flags |= locked ? CKF_USER_PIN_LOCKED : CKF_USER_PIN_FINAL_TRY;
	return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	CK_RV rv = real->C_Login(session, user, pin, length);
	note("C_Login");
	locked = rv != CKR_OK;
	return rv;
}

static void change(void)
{
	shown.C_GetTokenInfo = info;
	shown.C_Login = login;
}
