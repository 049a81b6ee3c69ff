/* What a test sees of the standard streams, which are turned into memory files. */
#ifndef HOLDFAST_TESTS_DEPLOY_CAPTURE_H
#define HOLDFAST_TESTS_DEPLOY_CAPTURE_H

void capture_streams(void);
/* All that was written since the last call; valid until the next call of either. */
const char *capture_output(void);
const char *capture_errors(void);

/* A folder of this test's own; capture_folder_remove takes it away with its content. */
const char *capture_folder(void);
void capture_folder_remove(void);

/* A file of this content in that folder; its path, valid until the next call. */
const char *capture_file(const char *name, const char *content);

#endif
