/* The token shows nothing before log-in: not a key, not a certificate. */
#include "shim.h"

static int in;

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	CK_RV rv = real->C_Login(session, user, pin, length);
	note("C_Login");
	in = in || rv == CKR_OK;
	return rv;
}

static CK_RV find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR found, CK_ULONG max, CK_ULONG_PTR count)
{
	*count = 0;
	return in ? real->C_FindObjects(session, found, max, count) : CKR_OK;
}

static void change(void)
{
	shown.C_Login = login;
	shown.C_FindObjects = find;
}
