/* The objects of token.c, which includes this: attributes in memory and in files. */

#define MAX_OBJECT 16384
#define CKA_CONTAINER (CKA_VENDOR_DEFINED | 1) /* never shown */

struct object {
	CK_ULONG size;
	unsigned char bytes[MAX_OBJECT];
};

static const unsigned char *get(const struct object *o, CK_ULONG type, CK_ULONG *length)
{
	CK_ULONG i = 0, head[2];
	while (i + sizeof head <= o->size) {
		memcpy(head, o->bytes + i, sizeof head);
		i += sizeof head;
		if (head[1] > o->size - i)
			return NULL;
		if (head[0] == type) {
			*length = head[1];
			return o->bytes + i;
		}
		i += head[1];
	}
	return NULL;
}

/* put adds an attribute unless it is there. */
static CK_RV put(struct object *o, CK_ULONG type, const void *value, CK_ULONG length)
{
	CK_ULONG there, head[2] = { type, length };
	if (get(o, type, &there))
		return CKR_OK;
	if (length > MAX_OBJECT || o->size + sizeof head + length > MAX_OBJECT)
		return CKR_DEVICE_MEMORY;
	memcpy(o->bytes + o->size, head, sizeof head);
	memcpy(o->bytes + o->size + sizeof head, value, length);
	o->size += sizeof head + length;
	return CKR_OK;
}

static CK_RV put_number(struct object *o, CK_ULONG type, CK_ULONG value) { return put(o, type, &value, sizeof value); }
static CK_RV put_flag(struct object *o, CK_ULONG type, CK_BBOOL value) { return put(o, type, &value, sizeof value); }

static CK_RV put_all(struct object *o, const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	CK_RV rv = CKR_OK;
	for (CK_ULONG i = 0; i < count && rv == CKR_OK; i++)
		rv = attributes[i].type == CKA_CONTAINER ? CKR_ATTRIBUTE_TYPE_INVALID
			: put(o, attributes[i].type, attributes[i].pValue, attributes[i].ulValueLen);
	return rv;
}

static CK_ULONG number(const struct object *o, CK_ULONG type)
{
	CK_ULONG length, value = 0;
	const unsigned char *found = get(o, type, &length);
	if (found && length == sizeof value)
		memcpy(&value, found, sizeof value);
	return found ? value : (CK_ULONG)-1;
}

static int flag(const struct object *o, CK_ULONG type)
{
	CK_ULONG length;
	const unsigned char *found = get(o, type, &length);
	return found && length == 1 && *found;
}

static int load(CK_ULONG handle, struct object *o)
{
	FILE *f = fopen(object_path(handle), "rb");
	if (!f)
		return 0;
	o->size = fread(o->bytes, 1, sizeof o->bytes, f);
	fclose(f);
	return !flag(o, CKA_PRIVATE) || user == CKU_USER; /* 4.4: seen by the user only */
}

static CK_RV save(CK_ULONG handle, const struct object *o)
{
	FILE *f = fopen(object_path(handle), "wb");
	if (!f)
		return CKR_DEVICE_ERROR;
	size_t written = fwrite(o->bytes, 1, o->size, f);
	return fclose(f) || written != o->size ? CKR_DEVICE_ERROR : CKR_OK;
}

static CK_RV add(const struct object *o, CK_OBJECT_HANDLE_PTR handle)
{
	for (CK_ULONG i = 1; i <= MAX_OBJECTS; i++)
		if (GetFileAttributesA(object_path(i)) == INVALID_FILE_ATTRIBUTES) {
			*handle = i;
			return save(i, o);
		}
	return CKR_DEVICE_MEMORY;
}

