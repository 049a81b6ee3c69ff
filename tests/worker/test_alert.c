#include "worker/alert.h"

#include <criterion/criterion.h>

static enum alert_outcome read_two(uint8_t level, uint8_t description)
{
    const uint8_t alert[] = {level, description};
    return alert_read(alert, sizeof(alert));
}

Test(alert, every_level_and_description)
{
    for (unsigned level = 0; level < 256; level++) {
        for (unsigned description = 0; description < 256; description++) {
            enum alert_outcome expected = ALERT_NONSENSE;
            if (description == ALERT_CLOSE_NOTIFY)
                expected = ALERT_CLOSES;
            else if (level == ALERT_WARNING)
                expected = ALERT_IGNORED;
            else if (level == ALERT_FATAL)
                expected = ALERT_ENDS;
            cr_expect_eq(read_two((uint8_t)level, (uint8_t)description), expected, "%u %u", level,
                         description);
        }
    }
}

Test(alert, has_two_octets)
{
    static const uint8_t alert[] = {ALERT_FATAL, 40, 0};
    cr_expect_eq(alert_read(alert, 0), ALERT_NONSENSE);
    cr_expect_eq(alert_read(alert, 1), ALERT_NONSENSE);
    cr_expect_eq(alert_read(alert, 2), ALERT_ENDS);
    cr_expect_eq(alert_read(alert, 3), ALERT_NONSENSE);
}
