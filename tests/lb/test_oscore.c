#include "lb/oscore.h"
#include "shared/cursor.h"

#include <criterion/criterion.h>

#define FIND(octets, ids) oscore_find((const uint8_t *)(octets), sizeof(octets) - 1, (ids))

/* RFC 8613 appendix C.4: a request with kid 0x (empty) and partial IV 0x14. */
Test(oscore, request_of_the_rfc)
{
    static const char message[] = "\x44\x02\x5d\x1f\x00\x00\x39\x74\x39\x6c\x6f\x63\x61\x6c\x68"
                                  "\x6f\x73\x74\x62\x09\x14\xff\x61\x2f\x10\x92\xf1\x77\x6f\x1c"
                                  "\x16\x68\xb3\x82\x5e";
    struct oscore_ids ids;
    cr_assert_eq(FIND(message, &ids), OSCORE_KID);
    cr_assert_eq(ids.kid_length, 0);
    cr_assert_eq(ids.context_length, 0);
}

/* RFC 8613 appendix C.5: kid 0x00. */
Test(oscore, request_with_kid)
{
    static const char message[] = "\x44\x02\x71\xc3\x00\x00\xb9\x32\x39\x6c\x6f\x63\x61\x6c\x68"
                                  "\x6f\x73\x74\x63\x09\x14\x00\xff\x4e\xd3\x39\xa5\xa3\x79\xb0"
                                  "\xb8\xbc\x73\x1f\xff\xb0";
    struct oscore_ids ids;
    cr_assert_eq(FIND(message, &ids), OSCORE_KID);
    cr_assert_eq(ids.kid_length, 1);
    cr_assert_eq(ids.kid[0], 0);
}

/* RFC 8613 appendix C.6: kid empty, kid context 37cbf3210017a2d3. */
Test(oscore, request_with_context)
{
    static const char message[] = "\x44\x02\x2f\x8e\xef\x9b\xbf\x7a\x39\x6c\x6f\x63\x61\x6c\x68"
                                  "\x6f\x73\x74\x6b\x19\x14\x08\x37\xcb\xf3\x21\x00\x17\xa2\xd3"
                                  "\xff\x72\xcd\x72\x73\xfd\x33\x1a\xc4\x5c\xff\xbe\x55\xc3";
    struct oscore_ids ids;
    cr_assert_eq(FIND(message, &ids), OSCORE_KID);
    cr_assert_eq(ids.kid_length, 0);
    cr_assert_eq(ids.context_length, 8);
    cr_assert_arr_eq(ids.context, "\x37\xcb\xf3\x21\x00\x17\xa2\xd3", 8);
}

/* RFC 8613 appendix C.7: a response carries an empty option, and no kid. */
Test(oscore, response_has_none)
{
    struct oscore_ids ids;
    cr_assert_eq(FIND("\x64\x44\x5d\x1f\x00\x00\x39\x74\x90\xff\xdb\xaa\xd1\xe9\xa7\xe7\xb2", &ids),
                 OSCORE_NONE);
    /* C.8: with a partial IV, still no kid. */
    cr_assert_eq(FIND("\x64\x44\x5d\x1f\x00\x00\x39\x74\x92\x01\x00\xff\x4d", &ids), OSCORE_NONE);
}

Test(oscore, none_where_there_is_none)
{
    struct oscore_ids ids;
    cr_assert_eq(FIND("", &ids), OSCORE_NONE);
    cr_assert_eq(FIND("\x40\x01\x00\x01", &ids), OSCORE_NONE);
    cr_assert_eq(FIND("\x40\x01\x00\x01\xb1t", &ids), OSCORE_NONE);         /* Uri-Path only */
    cr_assert_eq(FIND("\x40\x01\x00\x01\xff\x92\x08k", &ids), OSCORE_NONE); /* in the payload */
    cr_assert_eq(FIND("\x80\x01\x00\x01\x92\x08k", &ids), OSCORE_NONE);     /* version 2 */
    cr_assert_eq(FIND("\x49\x01\x00\x01tokentoke\x92\x08k", &ids), OSCORE_NONE); /* TKL 9 */
}

Test(oscore, bounds)
{
    struct oscore_ids ids;
    cr_assert_eq(FIND("\x40\x02\x00\x01\x93\x08k", &ids), OSCORE_NONE);     /* option cut */
    cr_assert_eq(FIND("\x40\x02\x00\x01\x9f\x08k", &ids), OSCORE_NONE);     /* length 15 */
    cr_assert_eq(FIND("\x40\x02\x00\x01\xf1\x08k", &ids), OSCORE_NONE);     /* delta 15 */
    cr_assert_eq(FIND("\x40\x02\x00\x01\x9d", &ids), OSCORE_NONE);          /* extension cut */
    cr_assert_eq(FIND("\x40\x02\x00\x01\x92\x0d\x01", &ids), OSCORE_NONE);  /* partial IV cut */
    cr_assert_eq(FIND("\x40\x02\x00\x01\x93\x18\x05k", &ids), OSCORE_NONE); /* context cut */
    cr_assert_eq(FIND("\x40\x02\x00\x01\x91\x18", &ids), OSCORE_NONE);      /* its length too */
    /* n = 6 and 7 are reserved. */
    cr_assert_eq(FIND("\x40\x02\x00\x01\x98\x0e"
                      "1234567",
                      &ids),
                 OSCORE_NONE);
    /* Extended forms are read: If-Match (1) of 13 octets, then 8 on. */
    cr_assert_eq(FIND("\x40\x02\x00\x01\x1d\x00"
                      "thirteenoctet"
                      "\x82\x08k",
                      &ids),
                 OSCORE_KID);
    cr_assert_eq(ids.kid_length, 1);
    cr_assert_eq(ids.kid[0], 'k');
}

Test(oscore, gives_up_after_many_options)
{
    struct oscore_ids ids;
    uint8_t space[4 + OSCORE_OPTIONS_MAX + 3];
    for (size_t options = OSCORE_OPTIONS_MAX - 1; options <= OSCORE_OPTIONS_MAX; options++) {
        struct writer writer = writer_over(space, sizeof(space));
        writer_bytes(&writer, "\x40\x02\x00\x01", 4);
        for (size_t i = 0; i < options; i++)
            writer_u8(&writer, 0); /* option 0, empty */
        writer_bytes(&writer, "\x92\x08k", 3);
        cr_assert(writer_ok(&writer));
        cr_assert_eq(oscore_find(space, writer_length(&writer), &ids),
                     options < OSCORE_OPTIONS_MAX ? OSCORE_KID : OSCORE_NONE);
    }
}
