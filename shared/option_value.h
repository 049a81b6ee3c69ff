/* One value of an option, from its text into its target. Used by option.c alone. */
#ifndef HOLDFAST_SHARED_OPTION_VALUE_H
#define HOLDFAST_SHARED_OPTION_VALUE_H

#include "shared/option.h"

/* label: where the value was found ("--psk", "HOLDFAST_PSK", "FILE:3: psk"), for the line that is
 * printed when the value cannot be used. The target is left alone then. A value that a custom
 * parser refuses is not shown: it may be a secret. */
MUST_USE enum status option_set(const struct option_table *table, const struct option_row *row,
                                const char *label, const char *value);

#endif
