/* Between the listing and the log-in another token came into the slot. */
#include "shim.h"

static int seen;

static CK_RV info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR token)
{
	CK_RV rv = real->C_GetTokenInfo(slot, token);
	if (rv == CKR_OK && getenv("SHIM_SWAP") && seen++ >= atoi(getenv("SHIM_SWAP")))
		token->serialNumber[0] ^= 1;
	return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	note("C_Login");
	return real->C_Login(session, user, pin, length);
}

static void change(void)
{
	shown.C_GetTokenInfo = info;
	shown.C_Login = login;
}
