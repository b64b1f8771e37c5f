/*
 * The token is taken out at the function that SHIM_AWAY names: its folder SHIM_TOKEN is moved to SHIM_ASIDE before the
 * call. With SHIM_BACK=1 it is put back after the call.
 */
#include "shim.h"

static int leave(const char *function)
{
	const char *at = getenv("SHIM_AWAY"), *token = getenv("SHIM_TOKEN"), *aside = getenv("SHIM_ASIDE");
	note(function);
	return at && token && aside && !strcmp(at, function) && rename(token, aside) == 0;
}

static void come_back(int left)
{
	if (left && getenv("SHIM_BACK") && rename(getenv("SHIM_ASIDE"), getenv("SHIM_TOKEN")))
		note("not put back");
}

#define STEP(name, call)                       \
	{                                      \
		int left = leave("C_" #name);  \
		CK_RV rv = real->C_##name call; \
		come_back(left);               \
		return rv;                     \
	}

static CK_RV slots(CK_BBOOL present, CK_SLOT_ID_PTR list, CK_ULONG_PTR count) STEP(GetSlotList, (present, list, count))
static CK_RV info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR token) STEP(GetTokenInfo, (slot, token))
static CK_RV session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR handle)
	STEP(OpenSession, (slot, flags, application, notify, handle))
static CK_RV login(CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
	STEP(Login, (handle, user, pin, length))
static CK_RV find(CK_SESSION_HANDLE handle, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
	STEP(FindObjectsInit, (handle, attributes, count))
static CK_RV get(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
	STEP(GetAttributeValue, (handle, object, attributes, count))
static CK_RV set(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
	STEP(SetAttributeValue, (handle, object, attributes, count))
static CK_RV create(CK_SESSION_HANDLE handle, CK_ATTRIBUTE_PTR attributes, CK_ULONG count, CK_OBJECT_HANDLE_PTR object)
	STEP(CreateObject, (handle, attributes, count, object))
static CK_RV destroy(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object) STEP(DestroyObject, (handle, object))
static CK_RV generate(CK_SESSION_HANDLE handle, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR public, CK_ULONG publicCount,
		      CK_ATTRIBUTE_PTR private, CK_ULONG privateCount, CK_OBJECT_HANDLE_PTR publicKey, CK_OBJECT_HANDLE_PTR privateKey)
	STEP(GenerateKeyPair, (handle, mechanism, public, publicCount, private, privateCount, publicKey, privateKey))
static CK_RV init(CK_SESSION_HANDLE handle, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key) STEP(SignInit, (handle, mechanism, key))
static CK_RV sign(CK_SESSION_HANDLE handle, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR size)
	STEP(Sign, (handle, data, length, signature, size))

static void change(void)
{
	shown.C_GetSlotList = slots;
	shown.C_GetTokenInfo = info;
	shown.C_OpenSession = session;
	shown.C_Login = login;
	shown.C_FindObjectsInit = find;
	shown.C_GetAttributeValue = get;
	shown.C_SetAttributeValue = set;
	shown.C_CreateObject = create;
	shown.C_DestroyObject = destroy;
	shown.C_GenerateKeyPair = generate;
	shown.C_SignInit = init;
	shown.C_Sign = sign;
}
