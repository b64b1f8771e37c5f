/*
 * The driver prints every PIN that it gets, as some do when they log, and writes to the folder SHIM_SEEN what others could
 * see at that moment: the command lines and environments of its process and of the one that started it. It notes what a
 * crash would leave behind.
 */
#include "shim.h"
#include <sys/prctl.h>
#include <sys/resource.h>

static void copy(const char *from, const char *name)
{
	char buffer[65536], path[4096];
	size_t n;
	const char *folder = getenv("SHIM_SEEN");
	FILE *in = fopen(from, "rb"), *out;
	snprintf(path, sizeof path, "%s/%d-%s", folder ? folder : ".", (int)getpid(), name);
	out = folder ? fopen(path, "wb") : NULL;
	while (in && out && (n = fread(buffer, 1, sizeof buffer, in)) > 0)
		fwrite(buffer, 1, n, out);
	if (in)
		fclose(in);
	if (out)
		fclose(out);
}

static void look(void)
{
	struct rlimit core;
	char line[128];
	getrlimit(RLIMIT_CORE, &core);
	snprintf(line, sizeof line, "dumpable %d, core %llu of %llu", prctl(PR_GET_DUMPABLE), (unsigned long long)core.rlim_cur,
		 (unsigned long long)core.rlim_max);
	note(line);
	copy("/proc/self/cmdline", "module-cmdline");
	copy("/proc/self/environ", "module-environ");
	snprintf(line, sizeof line, "/proc/%d/cmdline", (int)getppid());
	copy(line, "agent-cmdline");
	snprintf(line, sizeof line, "/proc/%d/environ", (int)getppid());
	copy(line, "agent-environ");
	snprintf(line, sizeof line, "/proc/%d/limits", (int)getppid());
	copy(line, "agent-limits");
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	CK_RV rv;
	printf("C_Login with %.*s\n", (int)length, (const char *)pin);
	fflush(stdout);
	fprintf(stderr, "C_Login with %.*s\n", (int)length, (const char *)pin);
	rv = real->C_Login(session, user, pin, length);
	look();
	return rv;
}

static CK_RV set(CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR old, CK_ULONG oldLength, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	fprintf(stderr, "C_SetPIN from %.*s to %.*s\n", (int)oldLength, (const char *)old, (int)length, (const char *)pin);
	return real->C_SetPIN(session, old, oldLength, pin, length);
}

static CK_RV init(CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR pin, CK_ULONG length)
{
	fprintf(stderr, "C_InitPIN with %.*s\n", (int)length, (const char *)pin);
	return real->C_InitPIN(session, pin, length);
}

static void change(void)
{
	shown.C_Login = login;
	shown.C_SetPIN = set;
	shown.C_InitPIN = init;
}
