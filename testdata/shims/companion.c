/* The driver loads a library beside it by its bare name, as drivers do, and says whether one was found. */
#include "shim.h"

static CK_RV initialize(CK_VOID_PTR arguments)
{
#ifdef _WIN32
	note(LoadLibraryA("certsign-companion.dll") ? "a companion was found" : "no companion was found");
#else
	note(dlopen("certsign-companion.so", RTLD_NOW) ? "a companion was found" : "no companion was found");
#endif
	return real->C_Initialize(arguments);
}

static void change(void) { shown.C_Initialize = initialize; }
