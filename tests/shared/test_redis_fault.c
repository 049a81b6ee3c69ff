#include "shared/redis_fault.h"

#include <criterion/criterion.h>
#include <string.h>

static enum redis_fault of(const char *text)
{
    return redis_fault_of(text, strlen(text));
}

Test(redis_fault, words_of_error_replies)
{
    cr_assert_eq(of("NOAUTH Authentication required."), REDIS_FAULT_NOAUTH);
    cr_assert_eq(of("OOM command not allowed when used memory > 'maxmemory'."), REDIS_FAULT_OOM);
    cr_assert_eq(of("LOADING"), REDIS_FAULT_LOADING);
    cr_assert_eq(of("BUSYGROUP Consumer Group name already exists"), REDIS_FAULT_OTHER);
    cr_assert_eq(of("ERR unknown command"), REDIS_FAULT_OTHER);
    cr_assert_eq(of(""), REDIS_FAULT_OTHER);
}

/* As Redis 6 reports what a script's command met. */
Test(redis_fault, words_within_a_script_s_error)
{
    cr_assert_eq(of("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't"),
                 REDIS_FAULT_READONLY);
    cr_assert_eq(of("ERR my BUSYBODY"), REDIS_FAULT_OTHER);
}

Test(redis_fault, each_has_a_text_of_its_own)
{
    for (int one = REDIS_FAULT_NONE; one <= REDIS_FAULT_OTHER; one++) {
        const char *text = redis_fault_text((enum redis_fault)one);
        cr_assert_not_null(text);
        for (int other = one + 1; other <= REDIS_FAULT_OTHER; other++)
            cr_assert_str_neq(text, redis_fault_text((enum redis_fault)other));
    }
    cr_assert(redis_fault_is_of_writes(REDIS_FAULT_OOM));
    cr_assert_not(redis_fault_is_of_writes(REDIS_FAULT_CLOSED));
}
