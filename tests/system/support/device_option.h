/* The options that tell a device what it is, for the tables of the tests' programs: values of kind
 * OPTION_CUSTOM whose target is a struct device_options. */
#ifndef HOLDFAST_TESTS_SYSTEM_SUPPORT_DEVICE_OPTION_H
#define HOLDFAST_TESTS_SYSTEM_SUPPORT_DEVICE_OPTION_H

#include "shared/status.h"
#include "tests/system/support/device.h"

/* "ID:HEX" */
enum status device_option_psk(void *target, const char *value, char *why, size_t why_size);
/* "none" or 0 to CID_LENGTH_MAX */
enum status device_option_cid(void *target, const char *value, char *why, size_t why_size);

#endif
