#include <stdint.h>

// One node of a syntax tree in preorder; next is the index behind its subtree.
typedef struct {
  uint32_t start, end;
  int32_t next;
  uint16_t kind, field;
  uint32_t missing;
} hub_node;

typedef struct {
  hub_node *nodes; // for the caller to free
  uint32_t count;
} hub_tree;

enum { HUB_OK, HUB_TIMEOUT, HUB_TOO_DEEP, HUB_NO_MEMORY };

// hub_plain_allocator makes tree-sitter allocate without a detour through Go.
void hub_plain_allocator(void);

// hub_read parses source within micros and copies the tree, all in one call:
// asking from Go for each node costs more than parsing.
int hub_read(hub_tree *t, const void *language, const char *source, uint32_t length, uint64_t micros, uint32_t max_depth);
