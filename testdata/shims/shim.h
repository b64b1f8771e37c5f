/*
 * A shim is a PKCS#11 module for tests: it loads the module that SHIM_MODULE names and changes some of its functions, so
 * that a token behaves as real ones do on a bad day. Each .c file says in its first line what it does. Built by the tests:
 *
 *     cc -shared -fPIC -I HEADERS -o NAME.so NAME.c -ldl
 *
 * and those that need nothing of Unix for Windows too, by testdata/pkcs11/build.
 */
#ifndef SHIM_H
#define SHIM_H

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CK_PTR *
#define CK_DEFINE_FUNCTION(type, name) type name
#define CK_DECLARE_FUNCTION(type, name) type name
#define CK_DECLARE_FUNCTION_POINTER(type, name) type(*name)
#define CK_CALLBACK_FUNCTION(type, name) type(*name)
#ifndef NULL_PTR
#define NULL_PTR 0
#endif
#ifdef _WIN32
#pragma pack(push, 1)
#include "pkcs11.h"
#pragma pack(pop)
#else
#include "pkcs11.h"
#endif

/* The functions of the real module, and the table that the shim shows. */
static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST shown;

/* change is what a shim is: it puts its own functions into the table. */
static void change(void);

/* note appends a line to the file that SHIM_LOG names. */
static void note(const char *line)
{
	const char *path = getenv("SHIM_LOG");
	FILE *log = path ? fopen(path, "a") : NULL;
	if (log) {
		fprintf(log, "%s\n", line);
		fclose(log);
	}
}

/* load returns the real module's way in, or NULL. */
static CK_C_GetFunctionList load(const char *path)
{
#ifdef _WIN32
	HMODULE module = path ? LoadLibraryA(path) : NULL;
	return module ? (CK_C_GetFunctionList)(void *)GetProcAddress(module, "C_GetFunctionList") : NULL;
#else
	void *module = path ? dlopen(path, RTLD_NOW) : NULL;
	return module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;
#endif
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	CK_C_GetFunctionList get;
	if (getenv("SHIM_SETTING")) /* NAME=VALUE: a setting for this module and none beside it */
		putenv(strdup(getenv("SHIM_SETTING")));
	get = load(getenv("SHIM_MODULE"));
	if (!get || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	shown = *real;
	shown.C_GetFunctionList = C_GetFunctionList;
	change();
	*list = &shown;
	note("C_GetFunctionList");
	return CKR_OK;
}

#endif
