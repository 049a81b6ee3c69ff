#include "shared/status.h"

#include <criterion/criterion.h>
#include <string.h>

Test(status, every_value_has_a_text_of_its_own)
{
    for (int a = STATUS_OK; a <= STATUS_SYSTEM; a++) {
        cr_assert_str_neq(status_text((enum status)a), "unknown status");
        for (int b = STATUS_OK; b < a; b++)
            cr_assert_str_neq(status_text((enum status)a), status_text((enum status)b));
    }
    cr_assert_str_eq(status_text(STATUS_BAD_TAG), "bad tag");
}

Test(status, a_value_out_of_range_is_named_so)
{
    cr_assert_str_eq(status_text((enum status)(STATUS_SYSTEM + 1)), "unknown status");
}
