
#ifdef WEIGHTS_FILE
static void *read_weights(const char *path)
{
    FILE *file = fopen(path, "rb");
    void *weights = malloc(WEIGHTS_SIZE), *image;
    long bytes;
    if (!file || !weights || fseek(file, 0, SEEK_END) != 0 || (bytes = ftell(file)) < 0) {
        printf("can't read %s\n", path);
        return NULL;
    }
    rewind(file);
    image = malloc((size_t)bytes + 8);
    if (!image || fread(image, 1, (size_t)bytes, file) != (size_t)bytes
        || set_weights(weights, image, (size_t)bytes) != 0) {
        printf("%s does not hold the weights\n", path);
        return NULL;
    }
    fclose(file);
    free(image);
    return weights;
}
#endif

int main(int count, char **given)
{
#ifdef WEIGHTS_FILE
    void *weights = read_weights(count > 1 ? given[1] : WEIGHTS_FILE);
    if (!weights)
        return 1;
#else
    void *weights = NULL;
    (void)count;
    (void)given;
#endif
    if (versions_differ()) {
        puts("header and code do not belong together");
        return 1;
    }
    if (check_net(weights) != 0)
        return 1;
    printf("%s, largest difference %g\n", wrong ? "wrong" : "ok", largest);
    return wrong != 0;
}
