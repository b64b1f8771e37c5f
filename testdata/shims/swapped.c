/*
 * Between the listing and the log-in another token came into the slot: after the look at it with the number SHIM_SWAP, or
 * just before the session with the number SHIM_SWAP_IN_SESSION was opened.
 */
#include "shim.h"

static int seen, opened;

static CK_RV info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR token)
{
	CK_RV rv = real->C_GetTokenInfo(slot, token);
	if (rv == CKR_OK && getenv("SHIM_SWAP") && seen++ >= atoi(getenv("SHIM_SWAP")))
		token->serialNumber[0] ^= 1;
	else if (rv == CKR_OK && getenv("SHIM_SWAP_IN_SESSION") && opened >= atoi(getenv("SHIM_SWAP_IN_SESSION")))
		token->serialNumber[0] ^= 1;
	return rv;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR session)
{
	opened++;
	return real->C_OpenSession(slot, flags, application, notify, session);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	note("C_Login");
	return real->C_Login(session, user, pin, length);
}

static void change(void)
{
	shown.C_GetTokenInfo = info;
	shown.C_OpenSession = open_session;
	shown.C_Login = login;
}
