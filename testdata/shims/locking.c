/* The token's flags say nothing; the log-in finds the PIN locked. */
#include "shim.h"

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	note("C_Login");
	return CKR_PIN_LOCKED;
}

static void change(void)
{
	shown.C_Login = login;
}
