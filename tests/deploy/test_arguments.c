#include "deploy/arguments.h"

#include <criterion/criterion.h>

Test(arguments, are_a_vector_that_ends_with_null)
{
    struct arguments arguments = {0};
    arguments_add(&arguments, "--id");
    arguments_add(&arguments, "%d=%s", 3, "x y");
    cr_assert_eq(arguments.count, 2);
    cr_assert_str_eq(arguments.list[0], "--id");
    cr_assert_str_eq(arguments.list[1], "3=x y");
    cr_assert_null(arguments.list[2]);
    arguments_free(&arguments);
    cr_assert_eq(arguments.count, 0);
}

Test(arguments, too_many_are_noticed)
{
    struct arguments arguments = {0};
    for (int i = 0; i < ARGUMENTS_MAX; i++)
        arguments_add(&arguments, "%d", i);
    cr_assert_not(arguments.failed);
    arguments_add(&arguments, "one more");
    cr_assert(arguments.failed);
    cr_assert_null(arguments.list[ARGUMENTS_MAX]);
    arguments_free(&arguments);
}
