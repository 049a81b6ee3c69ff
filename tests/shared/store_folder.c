#include "store_folder.h"

#include <criterion/criterion.h>
#include <lmdb.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 512
#define VALUE_MAX 4096

char *store_folder_new(void)
{
    const char *temporary = getenv("TMPDIR");
    char *path = malloc(PATH_SIZE);
    cr_assert_not_null(path);
    (void)snprintf(path, PATH_SIZE, "%s/holdfast-store.XXXXXX", temporary ? temporary : "/tmp");
    cr_assert_not_null(mkdtemp(path));
    return path;
}

void store_folder_free(char *folder)
{
    char command[PATH_SIZE + 16];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
    free(folder);
}

/* --- databases --- */

struct opened {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor;
};

static struct opened open_database(const char *folder, const char *database, unsigned int flags)
{
    struct opened opened = {0};
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/store", folder);
    cr_assert_eq(mdb_env_create(&opened.env), 0);
    cr_assert_eq(mdb_env_set_maxdbs(opened.env, 16), 0);
    cr_assert_eq(mdb_env_open(opened.env, path, MDB_NOSYNC | MDB_NOTLS, 0600), 0);
    cr_assert_eq(mdb_txn_begin(opened.env, NULL, flags, &opened.txn), 0);
    cr_assert_eq(mdb_dbi_open(opened.txn, database, 0, &opened.dbi), 0, "%s", database);
    cr_assert_eq(mdb_cursor_open(opened.txn, opened.dbi, &opened.cursor), 0);
    return opened;
}

static void close_database(struct opened *opened)
{
    mdb_cursor_close(opened->cursor);
    cr_assert_eq(mdb_txn_commit(opened->txn), 0);
    mdb_env_close(opened->env);
}

size_t store_folder_count(const char *folder, const char *database)
{
    MDB_stat stat;
    struct opened opened = open_database(folder, database, 0);
    cr_assert_eq(mdb_stat(opened.txn, opened.dbi, &stat), 0);
    close_database(&opened);
    return stat.ms_entries;
}

size_t store_folder_last(const char *folder, const char *database, void *space, size_t size)
{
    struct opened opened = open_database(folder, database, MDB_RDONLY);
    MDB_val key;
    MDB_val value;
    cr_assert_eq(mdb_cursor_get(opened.cursor, &key, &value, MDB_LAST), 0, "%s", database);
    cr_assert_leq(value.mv_size, size);
    memcpy(space, value.mv_data, value.mv_size);
    size_t length = value.mv_size;
    close_database(&opened);
    return length;
}

void store_folder_alter(const char *folder, const char *database, enum store_folder_damage damage)
{
    struct opened opened = open_database(folder, database, 0);
    MDB_val key;
    MDB_val value;
    while (mdb_cursor_get(opened.cursor, &key, &value, MDB_NEXT) == 0) {
        uint8_t bytes[VALUE_MAX];
        cr_assert_leq(value.mv_size, sizeof bytes);
        memcpy(bytes, value.mv_data, value.mv_size);
        MDB_val altered = {.mv_data = bytes, .mv_size = value.mv_size};
        if (damage == STORE_FOLDER_FUTURE)
            bytes[0]++;
        else if (altered.mv_size > 0)
            altered.mv_size--;
        cr_assert_eq(mdb_cursor_put(opened.cursor, &key, &altered, MDB_CURRENT), 0);
    }
    close_database(&opened);
}

static _Noreturn void die(void)
{
    (void)kill(getpid(), SIGKILL);
    abort();
}

void store_folder_die_writing(const char *folder, const char *database)
{
    struct opened opened = open_database(folder, database, 0);
    MDB_val key;
    MDB_val value;
    while (mdb_cursor_get(opened.cursor, &key, &value, MDB_NEXT) == 0)
        (void)mdb_cursor_del(opened.cursor, 0);
    die();
}

void store_folder_die_reading(const char *folder, const char *database)
{
    struct opened opened = open_database(folder, database, MDB_RDONLY);
    MDB_val key;
    MDB_val value;
    (void)mdb_cursor_get(opened.cursor, &key, &value, MDB_FIRST);
    die();
}

/* --- files --- */

bool store_folder_has(const char *folder, const char *file)
{
    char path[PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/store/%s", folder, file);
    return access(path, F_OK) == 0;
}

static FILE *open_marker(const char *folder, const char *mode)
{
    char path[PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/store/host", folder);
    FILE *file = fopen(path, mode);
    cr_assert_not_null(file, "%s", path);
    return file;
}

void store_folder_mark(const char *folder, const char *boot)
{
    FILE *file = open_marker(folder, "w");
    (void)fprintf(file, "%s\n", boot);
    cr_assert_eq(fclose(file), 0);
}

void store_folder_marked(const char *folder, char boot[64])
{
    FILE *file = open_marker(folder, "r");
    if (!fgets(boot, 64, file))
        boot[0] = '\0';
    (void)fclose(file);
}
