#ifndef OS_CLOCK_H
#define OS_CLOCK_H
#include "base/base.h"

/* The two clocks, in microseconds. Only shells read them; everything below gets now_us.
 */
int64_t os_clock_mono_us(void); /* never jumps; starts anywhere above 0 */
int64_t os_clock_wall_us(void); /* since 1970, UTC */
#endif
