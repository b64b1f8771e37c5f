/* The driver fails as SHIM_FAULT says: it crashes, hangs, ends, eats all memory, or answers with nonsense. */
#include "shim.h"

#define HUGE_COUNT ((CK_ULONG)1 << (8 * sizeof(CK_ULONG) - 3))
#define GARBAGE ((CK_ULONG)-1 / 255 * 0xA5)

static int fault(const char *name)
{
	const char *chosen = getenv("SHIM_FAULT");
	return chosen && !strcmp(chosen, name);
}

/* at does what is to be done when a function is called: "crash in C_Sign", "hang in C_Login", "exit in …", "leak in …". */
static void at(const char *function)
{
	char name[64];
	volatile char *nowhere = NULL;
	snprintf(name, sizeof name, "crash in %s", function);
	if (fault(name))
		*nowhere = 1;
	snprintf(name, sizeof name, "exit in %s", function);
	if (fault(name))
		_exit(0);
	snprintf(name, sizeof name, "hang in %s", function);
	while (fault(name))
		sleep(1);
	snprintf(name, sizeof name, "leak in %s", function);
	while (fault(name)) {
		char *lost = malloc(1 << 20);
		if (lost)
			memset(lost, 1, 1 << 20);
		else
			abort();
	}
}

static CK_RV initialize(CK_VOID_PTR arguments)
{
	at("C_Initialize");
	return real->C_Initialize(arguments);
}

static CK_RV finalize(CK_VOID_PTR reserved)
{
	at("C_Finalize");
	return real->C_Finalize(reserved);
}

static CK_RV slots(CK_BBOOL present, CK_SLOT_ID_PTR list, CK_ULONG_PTR count)
{
	CK_RV rv;
	CK_ULONG i;
	at("C_GetSlotList");
	rv = real->C_GetSlotList(present, list, count);
	if (rv == CKR_OK && fault("slots without number"))
		*count = HUGE_COUNT;
	if (rv == CKR_OK && list && fault("more slots than room"))
		*count += 1 << 20;
	for (i = 0; rv == CKR_OK && list && i < *count && fault("slots that are none"); i++)
		list[i] = GARBAGE;
	return fault("a return value that is none") ? GARBAGE : rv;
}

static CK_RV token(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	CK_RV rv = real->C_GetTokenInfo(slot, info);
	at("C_GetTokenInfo");
	if (rv == CKR_OK && fault("texts without an end")) {
		memset(info->label, 0xFF, sizeof info->label);
		memset(info->manufacturerID, 'A', sizeof info->manufacturerID);
		memcpy(info->model, "\033[2J\n\r\t\0\"<b>&\\u12", sizeof info->model);
		memset(info->serialNumber, 0x80, sizeof info->serialNumber);
	}
	if (rv == CKR_OK && fault("a token full of noise"))
		memset(info, 0xA5, sizeof *info);
	return rv;
}

static CK_RV mechanisms(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count)
{
	CK_RV rv = real->C_GetMechanismList(slot, list, count);
	if (rv == CKR_OK && fault("mechanisms without number"))
		*count = HUGE_COUNT;
	return rv;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR session)
{
	at("C_OpenSession");
	return real->C_OpenSession(slot, flags, application, notify, session);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	note("C_Login");
	at("C_Login");
	return real->C_Login(session, user, pin, length);
}

static CK_RV logout(CK_SESSION_HANDLE session)
{
	at("C_Logout");
	return real->C_Logout(session);
}

static CK_RV find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG room, CK_ULONG_PTR count)
{
	static CK_OBJECT_HANDLE last;
	CK_RV rv = real->C_FindObjects(session, objects, room, count);
	at("C_FindObjects");
	if (rv == CKR_OK && *count > 0)
		last = objects[0];
	if (rv == CKR_OK && fault("objects without end"))
		for (*count = 0; *count < room; (*count)++)
			objects[*count] = last;
	if (rv == CKR_OK && fault("objects that are none"))
		for (*count = 0; *count < room; (*count)++)
			objects[*count] = GARBAGE + *count;
	if (rv == CKR_OK && fault("more objects than room"))
		*count = HUGE_COUNT;
	return rv;
}

static CK_RV get(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	CK_RV rv = real->C_GetAttributeValue(session, object, attributes, count);
	CK_ULONG i;
	at("C_GetAttributeValue");
	for (i = 0; rv == CKR_OK && i < count; i++) {
		CK_ATTRIBUTE_PTR a = &attributes[i];
		if (fault("attributes without end"))
			a->ulValueLen = HUGE_COUNT;
		if (fault("attributes of nothing"))
			a->ulValueLen = 0;
		if (a->pValue && fault("attributes longer than they said"))
			a->ulValueLen += 100;
		if (a->pValue && fault("attributes that are nowhere"))
			a->pValue = NULL_PTR;
		if (a->pValue && fault("attributes full of noise"))
			memset(a->pValue, 0xA5, a->ulValueLen);
	}
	return rv;
}

static CK_RV generate(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR public, CK_ULONG publicCount,
		      CK_ATTRIBUTE_PTR private, CK_ULONG privateCount, CK_OBJECT_HANDLE_PTR publicKey, CK_OBJECT_HANDLE_PTR privateKey)
{
	CK_RV rv;
	at("C_GenerateKeyPair");
	rv = real->C_GenerateKeyPair(session, mechanism, public, publicCount, private, privateCount, publicKey, privateKey);
	at("C_GenerateKeyPair's end");
	return rv;
}

/* set fails before and after the first change and the second. */
static CK_RV set(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	static int n;
	CK_RV rv;
	n++;
	at(n == 1 ? "the first C_SetAttributeValue" : "the second C_SetAttributeValue");
	rv = real->C_SetAttributeValue(session, object, attributes, count);
	at(n == 1 ? "the first C_SetAttributeValue's end" : "the second C_SetAttributeValue's end");
	return rv;
}

static CK_RV create(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR attributes, CK_ULONG count, CK_OBJECT_HANDLE_PTR object)
{
	at("C_CreateObject");
	return real->C_CreateObject(session, attributes, count, object);
}

static CK_RV init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	at("C_SignInit");
	return real->C_SignInit(session, mechanism, key);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR size)
{
	CK_RV rv;
	CK_ULONG i;
	at("C_Sign");
	rv = real->C_Sign(session, data, length, signature, size);
	if (rv != CKR_OK)
		return rv;
	if (fault("a signature of no octets"))
		*size = 0;
	if (fault("a signature without end"))
		*size = HUGE_COUNT;
	if (signature && fault("a signature of four gigabytes"))
		*size = 0xFFFFFFFF;
	if (signature && fault("a signature that is too short"))
		*size -= 1;
	if (fault("a signature that is too long"))
		*size += 64;
	if (signature && fault("a signature of zeros"))
		memset(signature, 0, *size);
	for (i = 0; signature && i < *size && fault("a signature of noise"); i++)
		signature[i] = (CK_BYTE)(rand() >> 7);
	return rv;
}

static void change(void)
{
	shown.C_Initialize = initialize;
	shown.C_Finalize = finalize;
	shown.C_GetSlotList = slots;
	shown.C_GetTokenInfo = token;
	shown.C_GetMechanismList = mechanisms;
	shown.C_OpenSession = open_session;
	shown.C_Login = login;
	shown.C_Logout = logout;
	shown.C_FindObjects = find;
	shown.C_GetAttributeValue = get;
	shown.C_GenerateKeyPair = generate;
	shown.C_SetAttributeValue = set;
	shown.C_CreateObject = create;
	shown.C_SignInit = init;
	shown.C_Sign = sign;
	if (fault("functions that are nowhere"))
		memset((char *)&shown + sizeof shown - 40 * sizeof shown.C_Sign, 0, 40 * sizeof shown.C_Sign);
}
