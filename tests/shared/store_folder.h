/* What the tests of the LMDB engine do behind its back: a folder for a store (in it, `store`), what
 * lies in its databases, and damage. */
#ifndef HOLDFAST_TESTS_SHARED_STORE_FOLDER_H
#define HOLDFAST_TESTS_SHARED_STORE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

char *store_folder_new(void); /* its path */
void store_folder_free(char *folder);

size_t store_folder_count(const char *folder, const char *database);
/* The value of the last key; its length, at most `size`. */
size_t store_folder_last(const char *folder, const char *database, void *space, size_t size);

enum store_folder_damage {
    STORE_FOLDER_FUTURE, /* the format is another one */
    STORE_FOLDER_CUT,    /* the last octet is missing */
};
/* Every value of a database. */
void store_folder_alter(const char *folder, const char *database, enum store_folder_damage damage);

/* Ends this process by SIGKILL, with a transaction open that has written, or read, there. */
_Noreturn void store_folder_die_writing(const char *folder, const char *database);
_Noreturn void store_folder_die_reading(const char *folder, const char *database);

bool store_folder_has(const char *folder, const char *file);
/* The host's boot since which the store may not be on disk. */
void store_folder_mark(const char *folder, const char *boot);
void store_folder_marked(const char *folder, char boot[64]);

#endif
