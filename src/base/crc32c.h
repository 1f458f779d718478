#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H
#include "base/base.h"

/* CRC-32C (Castagnoli, reflected polynomial 0x82f63b78) of `data`, continuing from `crc`;
 * start with 0. crc32c(crc32c(0, a), b) is the CRC of a followed by b. */
uint32_t crc32c(uint32_t crc, struct str data);
#endif
