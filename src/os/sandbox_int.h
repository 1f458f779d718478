#ifndef OS_SANDBOX_INT_H
#define OS_SANDBOX_INT_H
#include "os/sandbox.h"

bool os_sandbox_is_sanitized(void); /* built with a sanitizer */
MUST_USE enum rc os_seccomp_enter(
    const struct os_sandbox *s, struct os_sandbox_got *got, struct err *e);
#endif
