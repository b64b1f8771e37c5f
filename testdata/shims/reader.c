/* The slot is called what SHIM_READER says; with SHIM_UNKNOWN, what is in it is not recognised. */
#include "shim.h"

static CK_RV slot(CK_SLOT_ID id, CK_SLOT_INFO_PTR info)
{
	CK_RV rv = real->C_GetSlotInfo(id, info);
	const char *name = getenv("SHIM_READER");
	if (rv == CKR_OK && name) {
		memset(info->slotDescription, ' ', sizeof(info->slotDescription));
		memcpy(info->slotDescription, name, strnlen(name, sizeof(info->slotDescription)));
	}
	return rv;
}

static CK_RV token(CK_SLOT_ID id, CK_TOKEN_INFO_PTR info)
{
	return getenv("SHIM_UNKNOWN") ? CKR_TOKEN_NOT_RECOGNIZED : real->C_GetTokenInfo(id, info);
}

static void change(void)
{
	shown.C_GetSlotInfo = slot;
	shown.C_GetTokenInfo = token;
}
