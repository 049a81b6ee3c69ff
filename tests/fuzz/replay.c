/* Runs a fuzz target over stored inputs, without libFuzzer: the arguments are files, or folders
 * whose files are all run in the order of their names. Exits with 1 if there was nothing to run,
 * since a corpus that went missing must not look like one that passed. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int inputs_run;

/* The input is read into a heap block of exactly its size, so that AddressSanitizer sees a read
 * past its end. */
static int run_file(const char *path, size_t size)
{
    int failed = 1;
    uint8_t *data = NULL;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        goto out;
    data = malloc(size);
    if ((data == NULL && size > 0) || fread(data, 1, size, file) != size)
        goto out;
    LLVMFuzzerTestOneInput(data, size);
    inputs_run++;
    failed = 0;
out:
    if (failed)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    free(data);
    if (file != NULL)
        fclose(file);
    return failed;
}

static int run_path(const char *path);

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int run_folder(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_visible, alphasort);
    if (count < 0) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        return 1;
    }
    int failures = 0;
    for (int i = 0; i < count; i++) {
        char *path;
        if (asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0)
            abort();
        failures += run_path(path);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return failures;
}

static int run_path(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    return S_ISDIR(status.st_mode) ? run_folder(path) : run_file(path, (size_t)status.st_size);
}

int main(int argc, char **argv)
{
    int failures = 0;
    for (int i = 1; i < argc; i++)
        failures += run_path(argv[i]);
    printf("%d inputs run, %d not readable\n", inputs_run, failures);
    return failures > 0 || inputs_run == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
