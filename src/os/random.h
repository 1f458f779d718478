#ifndef OS_RANDOM_H
#define OS_RANDOM_H
#include "base/base.h"

/* Fills `p` with unpredictable bytes from the kernel. Aborts when there are none. */
void os_random(void *p, size_t n);
uint64_t os_random_u64(void);
/* The seed of every hmap in production. */
void os_random_seed(uint64_t seed[2]);
#endif
