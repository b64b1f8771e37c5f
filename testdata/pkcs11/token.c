/*
 * A PKCS#11 module for tests on Windows, with one token that holds real keys: RSA in containers of CAPI's own provider, so
 * that they live on in other processes and cannot be exported. It exists because no free module for Windows can be had
 * from a package, and shows what differs there: structures packed to one octet and a CK_ULONG of 32 bits.
 *
 * TOKEN_DIR names the folder that is the token; without the file "token" in it there is no token in the slot. That file has
 * five lines: label, serial number, PIN, tries left, PUK. Each object is a file N.object, N being its handle: its attributes,
 * each a type and a length of 32 bits and the value.
 *
 * RSA key pairs and CKM_RSA_PKCS over a DigestInfo of SHA-256, SHA-384 or SHA-512; certificates; PIN, PUK. No ECDSA and no
 * PSS, which CAPI does not have, and no other data than digests, which CAPI does not sign. For tests only: the PIN protects
 * nothing here.
 */
#include <windows.h>
#include <wincrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CK_PTR *
#define CK_DEFINE_FUNCTION(type, name) type name
#define CK_DECLARE_FUNCTION(type, name) type name
#define CK_DECLARE_FUNCTION_POINTER(type, name) type(*name)
#define CK_CALLBACK_FUNCTION(type, name) type(*name)
#ifndef NULL_PTR
#define NULL_PTR 0
#endif
#pragma pack(push, 1)
#include "pkcs11.h"
#pragma pack(pop)

_Static_assert(sizeof(CK_ULONG) == 4, "PKCS#11 on Windows has 32-bit numbers");
_Static_assert(sizeof(CK_ATTRIBUTE) == 8 + sizeof(void *), "PKCS#11 on Windows packs its structures");

#define SLOT 7
#define TRIES 3
#define MAX_SESSIONS 16
#define MAX_OBJECTS 256
#define NOBODY ((CK_USER_TYPE)-1)

static struct token {
	char label[64], serial[32], pin[64], puk[64];
	int tries;
} token;

static struct session {
	int open, writing;
	CK_ULONG found[MAX_OBJECTS], count, next;
	int finding;
	HCRYPTPROV signer; /* 0: no C_SignInit */
} sessions[MAX_SESSIONS + 1];

static char folder[MAX_PATH];
static int initialized;
static CK_USER_TYPE user = NOBODY;

static const char *path(const char *name)
{
	static char full[MAX_PATH + 32];
	snprintf(full, sizeof full, "%s\\%s", folder, name);
	return full;
}

static const char *object_path(CK_ULONG handle)
{
	char name[32];
	snprintf(name, sizeof name, "%lu.object", handle);
	return path(name);
}

/* present reads the token afresh: another process may have changed it, or somebody taken it away. */
static int present(void)
{
	FILE *f = fopen(path("token"), "rb");
	int n = 0;
	if (f) {
		n = fscanf(f, "%63[^\n]\n%31[^\n]\n%63[^\n]\n%d\n%63[^\n]", token.label, token.serial, token.pin, &token.tries, token.puk);
		fclose(f);
	}
	return n == 5;
}

static CK_RV save_token(void)
{
	FILE *f = fopen(path("token"), "wb");
	if (!f)
		return CKR_DEVICE_REMOVED;
	fprintf(f, "%s\n%s\n%s\n%d\n%s\n", token.label, token.serial, token.pin, token.tries, token.puk);
	return fclose(f) ? CKR_DEVICE_ERROR : CKR_OK;
}

static struct session *at(CK_SESSION_HANDLE handle)
{
	return handle >= 1 && handle <= MAX_SESSIONS && sessions[handle].open ? &sessions[handle] : NULL;
}

#define NEED_SESSION(s, handle)                       \
	struct session *s = at(handle);               \
	if (!initialized)                             \
		return CKR_CRYPTOKI_NOT_INITIALIZED;  \
	if (!s)                                       \
		return CKR_SESSION_HANDLE_INVALID;    \
	if (!present())                               \
		return CKR_DEVICE_REMOVED

#define NEED_WRITER(s, handle)                \
	NEED_SESSION(s, handle);              \
	if (!s->writing)                      \
		return CKR_SESSION_READ_ONLY; \
	if (user != CKU_USER)                 \
		return CKR_USER_NOT_LOGGED_IN

#include "objects.h"

/* General and slots. */

static CK_RV initialize(CK_VOID_PTR arguments)
{
	DWORD n = GetEnvironmentVariableA("TOKEN_DIR", folder, sizeof folder);
	(void)arguments;
	if (initialized)
		return CKR_CRYPTOKI_ALREADY_INITIALIZED;
	if (n == 0 || n >= sizeof folder)
		return CKR_ARGUMENTS_BAD;
	initialized = 1;
	return CKR_OK;
}

static CK_RV finalize(CK_VOID_PTR reserved)
{
	(void)reserved;
	memset(sessions, 0, sizeof sessions);
	user = NOBODY;
	initialized = 0;
	return CKR_OK;
}

static void pad(CK_UTF8CHAR *field, size_t size, const char *text)
{
	memset(field, ' ', size);
	memcpy(field, text, strlen(text) < size ? strlen(text) : size);
}

static CK_RV about(CK_INFO_PTR info)
{
	memset(info, 0, sizeof *info);
	info->cryptokiVersion.major = 2;
	info->cryptokiVersion.minor = 20;
	pad(info->manufacturerID, sizeof info->manufacturerID, "CertSign tests");
	pad(info->libraryDescription, sizeof info->libraryDescription, "keys in CAPI containers");
	return CKR_OK;
}

static CK_RV slots(CK_BBOOL with_token, CK_SLOT_ID_PTR list, CK_ULONG_PTR count)
{
	CK_ULONG room = *count;
	*count = !with_token || present();
	if (list && room < *count)
		return CKR_BUFFER_TOO_SMALL;
	if (list && *count)
		list[0] = SLOT;
	return CKR_OK;
}

static CK_RV about_slot(CK_SLOT_ID slot, CK_SLOT_INFO_PTR info)
{
	if (slot != SLOT)
		return CKR_SLOT_ID_INVALID;
	memset(info, 0, sizeof *info);
	pad(info->slotDescription, sizeof info->slotDescription, "folder");
	pad(info->manufacturerID, sizeof info->manufacturerID, "CertSign tests");
	info->flags = CKF_REMOVABLE_DEVICE | (present() ? CKF_TOKEN_PRESENT : 0);
	return CKR_OK;
}

static CK_RV about_token(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	if (slot != SLOT)
		return CKR_SLOT_ID_INVALID;
	if (!present())
		return CKR_TOKEN_NOT_PRESENT;
	memset(info, 0, sizeof *info);
	pad(info->label, sizeof info->label, token.label);
	pad(info->manufacturerID, sizeof info->manufacturerID, "CertSign tests");
	pad(info->model, sizeof info->model, "folder");
	pad(info->serialNumber, sizeof info->serialNumber, token.serial);
	pad(info->utcTime, sizeof info->utcTime, "");
	info->flags = CKF_RNG | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED;
	if (token.tries < TRIES)
		info->flags |= token.tries == 0 ? CKF_USER_PIN_LOCKED : token.tries == 1 ? CKF_USER_PIN_FINAL_TRY : CKF_USER_PIN_COUNT_LOW;
	info->ulMaxSessionCount = info->ulMaxRwSessionCount = MAX_SESSIONS;
	info->ulMinPinLen = 4;
	info->ulMaxPinLen = 32;
	return CKR_OK;
}

static CK_RV mechanisms(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count)
{
	CK_ULONG room = *count;
	if (slot != SLOT)
		return CKR_SLOT_ID_INVALID;
	*count = 2;
	if (list && room < 2)
		return CKR_BUFFER_TOO_SMALL;
	if (list) {
		list[0] = CKM_RSA_PKCS_KEY_PAIR_GEN;
		list[1] = CKM_RSA_PKCS;
	}
	return CKR_OK;
}

static CK_RV about_mechanism(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR info)
{
	if (slot != SLOT)
		return CKR_SLOT_ID_INVALID;
	if (type != CKM_RSA_PKCS && type != CKM_RSA_PKCS_KEY_PAIR_GEN)
		return CKR_MECHANISM_INVALID;
	info->ulMinKeySize = 2048;
	info->ulMaxKeySize = 3072;
	info->flags = type == CKM_RSA_PKCS ? CKF_SIGN : CKF_GENERATE_KEY_PAIR;
	return CKR_OK;
}

/* Sessions and PINs. */

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR handle)
{
	(void)application, (void)notify;
	if (slot != SLOT)
		return CKR_SLOT_ID_INVALID;
	if (!present())
		return CKR_TOKEN_NOT_PRESENT;
	if (!(flags & CKF_SERIAL_SESSION))
		return CKR_SESSION_PARALLEL_NOT_SUPPORTED;
	for (CK_ULONG i = 1; i <= MAX_SESSIONS; i++)
		if (!sessions[i].open) {
			memset(&sessions[i], 0, sizeof sessions[i]);
			sessions[i].open = 1;
			sessions[i].writing = (flags & CKF_RW_SESSION) != 0;
			*handle = i;
			return CKR_OK;
		}
	return CKR_SESSION_COUNT;
}

static CK_RV close_session(CK_SESSION_HANDLE handle)
{
	struct session *s = at(handle);
	if (!s)
		return CKR_SESSION_HANDLE_INVALID;
	if (s->signer)
		CryptReleaseContext(s->signer, 0);
	memset(s, 0, sizeof *s);
	for (CK_ULONG i = 1; i <= MAX_SESSIONS; i++)
		if (sessions[i].open)
			return CKR_OK;
	user = NOBODY; /* 5.6.2: the last session takes the log-in along */
	return CKR_OK;
}

static int equal(const char *right, CK_UTF8CHAR_PTR given, CK_ULONG length)
{
	return given && length == strlen(right) && !memcmp(given, right, length);
}

/* try spends a try on a PIN. */
static CK_RV try_pin(CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	CK_RV rv;
	int right = equal(token.pin, pin, length);
	if (token.tries == 0)
		return CKR_PIN_LOCKED;
	token.tries = right ? TRIES : token.tries - 1;
	if ((rv = save_token()) != CKR_OK)
		return rv;
	return right ? CKR_OK : CKR_PIN_INCORRECT;
}

static CK_RV login(CK_SESSION_HANDLE handle, CK_USER_TYPE who, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	CK_RV rv = CKR_USER_TYPE_INVALID;
	NEED_SESSION(s, handle);
	(void)s;
	if (user != NOBODY)
		return user == who ? CKR_USER_ALREADY_LOGGED_IN : CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
	if (who == CKU_USER)
		rv = try_pin(pin, length);
	else if (who == CKU_SO)
		rv = equal(token.puk, pin, length) ? CKR_OK : CKR_PIN_INCORRECT;
	if (rv == CKR_OK)
		user = who;
	return rv;
}

static CK_RV logout(CK_SESSION_HANDLE handle)
{
	NEED_SESSION(s, handle);
	(void)s;
	if (user == NOBODY)
		return CKR_USER_NOT_LOGGED_IN;
	user = NOBODY;
	return CKR_OK;
}

static CK_RV new_pin(CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	if (!pin || length < 4 || length > 32)
		return CKR_PIN_LEN_RANGE;
	memcpy(token.pin, pin, length);
	token.pin[length] = 0;
	token.tries = TRIES;
	return save_token();
}

static CK_RV init_pin(CK_SESSION_HANDLE handle, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	NEED_SESSION(s, handle);
	if (!s->writing)
		return CKR_SESSION_READ_ONLY;
	return user == CKU_SO ? new_pin(pin, length) : CKR_USER_NOT_LOGGED_IN;
}

static CK_RV set_pin(CK_SESSION_HANDLE handle, CK_UTF8CHAR_PTR old, CK_ULONG old_length, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	CK_RV rv;
	NEED_SESSION(s, handle);
	if (!s->writing)
		return CKR_SESSION_READ_ONLY;
	return (rv = try_pin(old, old_length)) == CKR_OK ? new_pin(pin, length) : rv;
}

/* Objects in sessions. */

static CK_RV find_init(CK_SESSION_HANDLE handle, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	static struct object o;
	NEED_SESSION(s, handle);
	if (s->finding)
		return CKR_OPERATION_ACTIVE;
	s->finding = 1;
	s->count = s->next = 0;
	for (CK_ULONG i = 1; i <= MAX_OBJECTS; i++) {
		int same = load(i, &o);
		for (CK_ULONG j = 0; same && j < count; j++) {
			CK_ULONG length;
			const unsigned char *found = get(&o, attributes[j].type, &length);
			same = found && length == attributes[j].ulValueLen && !memcmp(found, attributes[j].pValue, length);
		}
		if (same)
			s->found[s->count++] = i;
	}
	return CKR_OK;
}

static CK_RV find(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE_PTR objects, CK_ULONG room, CK_ULONG_PTR count)
{
	NEED_SESSION(s, handle);
	if (!s->finding)
		return CKR_OPERATION_NOT_INITIALIZED;
	for (*count = 0; *count < room && s->next < s->count; (*count)++)
		objects[*count] = s->found[s->next++];
	return CKR_OK;
}

static CK_RV find_final(CK_SESSION_HANDLE handle)
{
	NEED_SESSION(s, handle);
	if (!s->finding)
		return CKR_OPERATION_NOT_INITIALIZED;
	s->finding = 0;
	return CKR_OK;
}

static CK_RV get_attributes(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	static struct object o;
	CK_RV rv = CKR_OK;
	NEED_SESSION(s, handle);
	(void)s;
	if (!load(object, &o))
		return CKR_OBJECT_HANDLE_INVALID;
	for (CK_ULONG i = 0; i < count; i++) {
		CK_ULONG length;
		const unsigned char *found = attributes[i].type == CKA_CONTAINER ? NULL : get(&o, attributes[i].type, &length);
		if (!found || (attributes[i].pValue && attributes[i].ulValueLen < length)) {
			attributes[i].ulValueLen = (CK_ULONG)-1;
			rv = found ? CKR_BUFFER_TOO_SMALL
				: number(&o, CKA_CLASS) == CKO_PRIVATE_KEY && attributes[i].type == CKA_PRIVATE_EXPONENT ? CKR_ATTRIBUTE_SENSITIVE
				: CKR_ATTRIBUTE_TYPE_INVALID;
			continue;
		}
		attributes[i].ulValueLen = length;
		if (attributes[i].pValue)
			memcpy(attributes[i].pValue, found, length);
	}
	return rv;
}

static CK_RV set_attributes(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	static struct object o, changed;
	CK_ULONG i = 0, head[2];
	CK_RV rv;
	NEED_WRITER(s, handle);
	(void)s;
	if (!load(object, &o))
		return CKR_OBJECT_HANDLE_INVALID;
	for (CK_ULONG j = 0; j < count; j++)
		if (attributes[j].type != CKA_ID && attributes[j].type != CKA_LABEL)
			return CKR_ATTRIBUTE_READ_ONLY;
	changed.size = 0;
	rv = put_all(&changed, attributes, count);
	for (; rv == CKR_OK && i + sizeof head <= o.size; i += sizeof head + head[1]) {
		memcpy(head, o.bytes + i, sizeof head);
		rv = put(&changed, head[0], o.bytes + i + sizeof head, head[1]);
	}
	return rv == CKR_OK ? save(object, &changed) : rv;
}

static CK_RV create(CK_SESSION_HANDLE handle, CK_ATTRIBUTE_PTR attributes, CK_ULONG count, CK_OBJECT_HANDLE_PTR object)
{
	static struct object o;
	CK_RV rv;
	NEED_WRITER(s, handle);
	(void)s;
	o.size = 0;
	if ((rv = put_all(&o, attributes, count)) != CKR_OK)
		return rv;
	if (number(&o, CKA_CLASS) != CKO_CERTIFICATE || !flag(&o, CKA_TOKEN))
		return CKR_TEMPLATE_INCONSISTENT;
	return add(&o, object);
}

static CK_RV destroy(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object)
{
	static struct object o;
	CK_ULONG length;
	const unsigned char *container;
	HCRYPTPROV none;
	NEED_WRITER(s, handle);
	(void)s;
	if (!load(object, &o))
		return CKR_OBJECT_HANDLE_INVALID;
	if ((container = get(&o, CKA_CONTAINER, &length)) &&
	    !CryptAcquireContextA(&none, (const char *)container, NULL, PROV_RSA_AES, CRYPT_DELETEKEYSET | CRYPT_SILENT))
		return CKR_DEVICE_ERROR;
	return DeleteFileA(object_path(object)) ? CKR_OK : CKR_DEVICE_ERROR;
}

/* Keys. */

static void reverse(unsigned char *to, const unsigned char *from, CK_ULONG length)
{
	for (CK_ULONG i = 0; i < length; i++)
		to[i] = from[length - 1 - i];
}

/* make makes a key in a new container and returns its modulus. */
static CK_RV make(const char *container, CK_ULONG bits, unsigned char *modulus)
{
	unsigned char blob[20 + 512]; /* BLOBHEADER, RSAPUBKEY, modulus; little-endian */
	DWORD size = sizeof blob;
	HCRYPTPROV provider;
	HCRYPTKEY key = 0;
	BOOL ok;
	if (!CryptAcquireContextA(&provider, container, NULL, PROV_RSA_AES, CRYPT_NEWKEYSET | CRYPT_SILENT))
		return CKR_DEVICE_ERROR;
	ok = CryptGenKey(provider, AT_SIGNATURE, bits << 16, &key) && CryptExportKey(key, 0, PUBLICKEYBLOB, 0, blob, &size) &&
		size >= 20 + bits / 8;
	if (ok)
		reverse(modulus, blob + 20, bits / 8);
	if (key)
		CryptDestroyKey(key);
	CryptReleaseContext(provider, 0);
	return ok ? CKR_OK : CKR_DEVICE_ERROR;
}

static CK_RV generate(CK_SESSION_HANDLE handle, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR public_attributes, CK_ULONG public_count,
		      CK_ATTRIBUTE_PTR private_attributes, CK_ULONG private_count, CK_OBJECT_HANDLE_PTR public_key, CK_OBJECT_HANDLE_PTR private_key)
{
	static const unsigned char exponent[] = { 1, 0, 1 };
	static struct object public, private, *both[] = { &public, &private };
	unsigned char modulus[512];
	char container[64];
	LARGE_INTEGER now;
	CK_ULONG bits;
	CK_RV rv;
	NEED_WRITER(s, handle);
	(void)s;
	if (mechanism->mechanism != CKM_RSA_PKCS_KEY_PAIR_GEN)
		return CKR_MECHANISM_INVALID;
	public.size = private.size = 0;
	if ((rv = put_all(&public, public_attributes, public_count)) != CKR_OK || (rv = put_all(&private, private_attributes, private_count)) != CKR_OK)
		return rv;
	bits = number(&public, CKA_MODULUS_BITS);
	if (bits != 2048 && bits != 3072)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (!flag(&public, CKA_TOKEN) || !flag(&private, CKA_TOKEN) || !flag(&private, CKA_SENSITIVE) || flag(&private, CKA_EXTRACTABLE))
		return CKR_TEMPLATE_INCONSISTENT;
	QueryPerformanceCounter(&now);
	snprintf(container, sizeof container, "certsign-test-%s-%lx-%llx", token.serial, GetCurrentProcessId(), now.QuadPart);
	if ((rv = make(container, bits, modulus)) != CKR_OK)
		return rv;
	for (int i = 0; i < 2 && rv == CKR_OK; i++) {
		put_number(both[i], CKA_CLASS, i ? CKO_PRIVATE_KEY : CKO_PUBLIC_KEY);
		put_number(both[i], CKA_KEY_TYPE, CKK_RSA);
		put_flag(both[i], CKA_LOCAL, CK_TRUE);
		put(both[i], CKA_PUBLIC_EXPONENT, exponent, sizeof exponent);
		rv = put(both[i], CKA_MODULUS, modulus, bits / 8);
	}
	put_flag(&private, CKA_PRIVATE, CK_TRUE);
	put_flag(&private, CKA_ALWAYS_AUTHENTICATE, CK_FALSE);
	put_flag(&private, CKA_ALWAYS_SENSITIVE, CK_TRUE);
	put_flag(&private, CKA_NEVER_EXTRACTABLE, CK_TRUE);
	if (rv == CKR_OK && (rv = put(&private, CKA_CONTAINER, container, strlen(container) + 1)) == CKR_OK &&
	    (rv = add(&private, private_key)) == CKR_OK)
		rv = add(&public, public_key);
	return rv;
}

/* The DigestInfos (RFC 8017, 9.2) that CKM_RSA_PKCS takes here, as they start. */
static const struct {
	unsigned char start[19];
	ALG_ID hash;
	CK_ULONG length;
} digests[] = {
	{ { 0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20 }, CALG_SHA_256, 32 },
	{ { 0x30, 0x41, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2, 5, 0, 4, 0x30 }, CALG_SHA_384, 48 },
	{ { 0x30, 0x51, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3, 5, 0, 4, 0x40 }, CALG_SHA_512, 64 },
};

static CK_RV sign_init(CK_SESSION_HANDLE handle, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	static struct object o;
	CK_ULONG length;
	const unsigned char *container;
	NEED_SESSION(s, handle);
	if (mechanism->mechanism != CKM_RSA_PKCS)
		return CKR_MECHANISM_INVALID;
	if (s->signer)
		return CKR_OPERATION_ACTIVE;
	if (user != CKU_USER)
		return CKR_USER_NOT_LOGGED_IN;
	if (!load(key, &o) || !(container = get(&o, CKA_CONTAINER, &length)))
		return CKR_KEY_HANDLE_INVALID;
	return CryptAcquireContextA(&s->signer, (const char *)container, NULL, PROV_RSA_AES, CRYPT_SILENT) ? CKR_OK : CKR_DEVICE_ERROR;
}

static CK_RV sign(CK_SESSION_HANDLE handle, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature, CK_ULONG_PTR size)
{
	unsigned char result[512];
	DWORD needed = sizeof result;
	HCRYPTHASH hash = 0;
	CK_RV rv = CKR_DATA_INVALID;
	NEED_SESSION(s, handle);
	if (!s->signer)
		return CKR_OPERATION_NOT_INITIALIZED;
	for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
		const size_t start = sizeof digests[i].start;
		if (length != start + digests[i].length || memcmp(data, digests[i].start, start))
			continue;
		rv = CryptCreateHash(s->signer, digests[i].hash, 0, 0, &hash) && CryptSetHashParam(hash, HP_HASHVAL, data + start, 0) &&
			CryptSignHashA(hash, AT_SIGNATURE, NULL, 0, result, &needed) ? CKR_OK : CKR_DEVICE_ERROR;
	}
	if (hash)
		CryptDestroyHash(hash);
	/* 5.2: asking for the length, or with too little room, does not end the operation */
	if (rv == CKR_OK && (!signature || *size < needed)) {
		*size = needed;
		return signature ? CKR_BUFFER_TOO_SMALL : CKR_OK;
	}
	CryptReleaseContext(s->signer, 0);
	s->signer = 0;
	if (rv == CKR_OK) {
		reverse(signature, result, needed);
		*size = needed;
	}
	return rv;
}

/* What is not here. */
static CK_RV unsupported(void) { return CKR_FUNCTION_NOT_SUPPORTED; }

__declspec(dllexport) CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	static CK_FUNCTION_LIST all;
	CK_RV (*none)(void) = unsupported;
	for (size_t i = sizeof all.version; i < sizeof all; i += sizeof none)
		memcpy((char *)&all + i, &none, sizeof none);
	all.version.major = 2;
	all.version.minor = 20;
	all.C_GetFunctionList = C_GetFunctionList;
	all.C_Initialize = initialize;
	all.C_Finalize = finalize;
	all.C_GetInfo = about;
	all.C_GetSlotList = slots;
	all.C_GetSlotInfo = about_slot;
	all.C_GetTokenInfo = about_token;
	all.C_GetMechanismList = mechanisms;
	all.C_GetMechanismInfo = about_mechanism;
	all.C_OpenSession = open_session;
	all.C_CloseSession = close_session;
	all.C_Login = login;
	all.C_Logout = logout;
	all.C_InitPIN = init_pin;
	all.C_SetPIN = set_pin;
	all.C_FindObjectsInit = find_init;
	all.C_FindObjects = find;
	all.C_FindObjectsFinal = find_final;
	all.C_GetAttributeValue = get_attributes;
	all.C_SetAttributeValue = set_attributes;
	all.C_CreateObject = create;
	all.C_DestroyObject = destroy;
	all.C_GenerateKeyPair = generate;
	all.C_SignInit = sign_init;
	all.C_Sign = sign;
	*list = &all;
	return CKR_OK;
}
