/* Sets of integers, for the patterns of sparse derivatives: what set_union, set_size and set_at of the IR do. One call of
 * an exported function has one arena of them, which lives until it returns.
 *
 * A set is an i64: 0 is the empty one, -1 - k that of k >= 0 alone, any other the address of a Set. Few members lie there
 * one after another; more are a trie over the bits of the words of 64 members, highest first, with path compression
 * (Okasaki and Gill, "Fast mergeable integer maps", 1998). Equal sets have equal addresses, so that a union with itself
 * costs nothing, and a loop that goes on after its sets have filled up makes no more of them. */
#include "runtime/object/bodies.h"
#include "runtime/tdl.h"

enum { FEW = 24 };           /* members of a plain list: below 2**32, each */

typedef struct Set {
    struct Set *next;        /* of those with hashes alike */
    uint64_t hash;
    int64_t size;
    uint64_t word;           /* trie: number of the word; of a branch, its bits above `bits` */
    uint64_t bits;           /* trie, leaf: the members; branch: the bit that decides between low and high */
    struct Set *low, *high;  /* NULL but in branches */
} Set;

/* The same beginning; then `size` members. */
typedef struct List { struct Set *next; uint64_t hash; int64_t size; uint32_t member[]; } List;

enum { MEMO = 256, FIRST_BUCKETS = 256, FIRST_BLOCK = 4096, MOST_BLOCK = 1 << 18 };

typedef struct { const Set *a, *b; Set *all; } Memo;

struct TdlrtSets {
    Set **buckets;
    uint64_t nbuckets, nsets;
    char *fresh;             /* memory that is not in use yet */
    int64_t nfresh, block;   /* bytes of it; of the next block */
    int full;                /* memory ran out: results are not to be used */
    Memo memo[MEMO];         /* recent unions of tries */
};

/* ---- one object for equal sets ---- */

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 32);
}

/* Twice as many buckets; without memory for them the chains grow. */
static void spread(TdlrtCtx *c, TdlrtSets *s) {
    uint64_t n = 2 * s->nbuckets;
    Set **buckets = tdlrt_keep(c, (int64_t)(n * sizeof *buckets));
    if (!buckets) return;
    for (uint64_t i = 0; i < n; i++) buckets[i] = 0;
    for (uint64_t i = 0; i < s->nbuckets; i++)
        for (Set *k = s->buckets[i], *next; k; k = next) {
            next = k->next;
            k->next = buckets[k->hash & (n - 1)];
            buckets[k->hash & (n - 1)] = k;
        }
    s->buckets = buckets;
    s->nbuckets = n;
}

/* `bytes` (a multiple of 8); NULL: no memory. */
static void *take(TdlrtCtx *c, TdlrtSets *s, int64_t bytes) {
    if (s->nfresh < bytes) {
        int64_t block = s->block;
        s->fresh = tdlrt_keep(c, block);
        if (!s->fresh) s->fresh = tdlrt_keep(c, block = bytes);  /* near the end of a workspace every byte counts */
        s->nfresh = s->fresh ? block : 0;
        if (s->block < MOST_BLOCK) s->block *= 2;
        if (!s->fresh) {
            s->full = 1;
            return 0;
        }
    }
    s->nfresh -= bytes;
    s->fresh += bytes;
    return s->fresh - bytes;
}

/* A new object of this hash, in its chain. */
static void *add(TdlrtCtx *c, uint64_t hash, int64_t bytes) {
    TdlrtSets *s = c->sets;
    if (s->nsets >= s->nbuckets) spread(c, s);
    Set *k = take(c, s, bytes);
    if (!k) return 0;
    k->hash = hash;
    k->next = s->buckets[hash & (s->nbuckets - 1)];
    s->buckets[hash & (s->nbuckets - 1)] = k;
    s->nsets++;
    return k;
}

static Set *first_of(const TdlrtCtx *c, uint64_t hash) {
    const TdlrtSets *s = c->sets;
    return s->buckets[hash & (s->nbuckets - 1)];
}

/* Hashes of lists are odd, those of tries even. */
static int is_list(const Set *s) { return s->hash & 1; }

/* The list of n sorted members; NULL: no memory. */
static List *list(TdlrtCtx *c, const uint32_t *member, int64_t n) {
    uint64_t h = 1;
    for (int64_t i = 0; i < n; i++) h = mix(h, member[i]);
    h |= 1;
    for (Set *k = first_of(c, h); k; k = k->next) {
        if (k->hash != h || k->size != n) continue;
        List *l = (List *)k;
        int64_t i = 0;
        while (i < n && l->member[i] == member[i]) i++;
        if (i == n) return l;
    }
    List *l = add(c, h, ((int64_t)sizeof *l + 4 * n + 7) & ~(int64_t)7);
    if (!l) return 0;
    l->size = n;
    for (int64_t i = 0; i < n; i++) l->member[i] = member[i];
    return l;
}

/* The trie with this content; NULL: no memory. */
static Set *node(TdlrtCtx *c, uint64_t word, uint64_t bits, Set *low, Set *high) {
    uint64_t h = mix(mix(mix(mix(2, word), bits), (uint64_t)(uintptr_t)low), (uint64_t)(uintptr_t)high) & ~(uint64_t)1;
    for (Set *k = first_of(c, h); k; k = k->next)
        if (k->hash == h && k->word == word && k->bits == bits && k->low == low && k->high == high) return k;
    Set *k = add(c, h, (int64_t)sizeof *k);
    if (!k) return 0;
    k->word = word;
    k->bits = bits;
    k->low = low;
    k->high = high;
    k->size = low ? low->size + high->size : __builtin_popcountll(bits);
    return k;
}

/* ---- unions of tries ---- */

/* Words below branch b have its prefix, those of its high side the bit. */
static uint64_t prefix(uint64_t word, uint64_t bit) { return word & ~(2 * bit - 1); }

static Set *branch(TdlrtCtx *c, uint64_t word, uint64_t bit, Set *low, Set *high) {
    if (!low || !high) return low ? low : high;   /* no memory */
    return node(c, word, bit, low, high);
}

/* a and b share no branch: the highest bit in which their prefixes differ decides. */
static Set *join(TdlrtCtx *c, Set *a, Set *b) {
    uint64_t bit = (uint64_t)1 << (63 - __builtin_clzll(a->word ^ b->word));
    uint64_t word = prefix(a->word, bit);
    return a->word & bit ? branch(c, word, bit, b, a) : branch(c, word, bit, a, b);
}

static Set *merge(TdlrtCtx *c, Set *a, Set *b) {
    if (a == b || !b) return a;
    if (!a) return b;
    uint64_t abit = a->low ? a->bits : 0, bbit = b->low ? b->bits : 0;
    if (abit < bbit) {
        Set *t = a;
        a = b;
        b = t;
        abit = bbit;
        bbit = b->low ? b->bits : 0;
    }
    if (abit == bbit) {
        if (a->word != b->word) return join(c, a, b);
        if (!abit) return node(c, a->word, a->bits | b->bits, 0, 0);
        return branch(c, a->word, abit, merge(c, a->low, b->low), merge(c, a->high, b->high));
    }
    if (prefix(b->word, abit) != a->word) return join(c, a, b);
    if (b->word & abit) return branch(c, a->word, abit, a->low, merge(c, a->high, b));
    return branch(c, a->word, abit, merge(c, a->low, b), a->high);
}

static Set *merge_known(TdlrtCtx *c, Set *a, Set *b) {
    if (!a || !b || a == b) return a ? a : b;
    if ((uintptr_t)a > (uintptr_t)b) {
        Set *t = a;
        a = b;
        b = t;
    }
    Memo *m = &c->sets->memo[mix((uint64_t)(uintptr_t)a, (uint64_t)(uintptr_t)b) & (MEMO - 1)];
    if (m->a == a && m->b == b) return m->all;
    Set *all = merge(c, a, b);
    *m = (Memo){a, b, all};
    return all;
}

/* The trie of the n sorted members. */
static Set *trie(TdlrtCtx *c, const uint32_t *member, int64_t n) {
    Set *all = 0;
    for (int64_t i = 0; i < n;) {
        uint64_t word = member[i] >> 6, bits = 0;
        for (; i < n && member[i] >> 6 == word; i++) bits |= (uint64_t)1 << (member[i] & 63);
        all = merge(c, all, node(c, word, bits, 0, 0));
    }
    return all;
}

/* ---- any sets ---- */

/* What was gathered: a trie, and a list that is not in it yet. */
typedef struct { Set *trie; uint32_t member[2 * FEW]; int64_t n; } Union;

static void spill(TdlrtCtx *c, Union *u) {
    u->trie = merge(c, u->trie, trie(c, u->member, u->n));
    u->n = 0;
}

static void add_one(Union *u, uint32_t k) {
    int64_t i = u->n;
    while (i > 0 && u->member[i - 1] > k) i--;
    if (i > 0 && u->member[i - 1] == k) return;
    for (int64_t j = u->n++; j > i; j--) u->member[j] = u->member[j - 1];
    u->member[i] = k;
}

static void add_list(Union *u, const List *l) {
    uint32_t both[2 * FEW];
    int64_t n = 0, i = 0, k = 0;
    while (i < u->n || k < l->size) {
        uint32_t a = i < u->n ? u->member[i] : UINT32_MAX, b = k < l->size ? l->member[k] : UINT32_MAX;
        both[n++] = a < b ? a : b;
        i += a <= b && i < u->n;
        k += b <= a && k < l->size;
    }
    for (i = 0; i < n; i++) u->member[i] = both[i];
    u->n = n;
}

static void add_set(TdlrtCtx *c, Union *u, int64_t set) {
    uint64_t k = (uint64_t)(-1 - set);
    const Set *s = (const Set *)(intptr_t)set;
    if (set < 0 && k <= UINT32_MAX) add_one(u, (uint32_t)k);
    else if (set < 0) u->trie = merge(c, u->trie, node(c, k >> 6, (uint64_t)1 << (k & 63), 0, 0));
    else if (is_list(s)) add_list(u, (const List *)s);
    else u->trie = merge_known(c, u->trie, (Set *)(intptr_t)set);
    if (u->n > FEW) spill(c, u);
}

static TdlrtSets *arena(TdlrtCtx *c) {
    if (c->sets) return c->sets;
    TdlrtSets *s = tdlrt_keep(c, (int64_t)sizeof *s);
    Set **buckets = s ? tdlrt_keep(c, FIRST_BUCKETS * (int64_t)sizeof *buckets) : 0;
    if (!buckets) return 0;
    for (int i = 0; i < FIRST_BUCKETS; i++) buckets[i] = 0;
    for (int i = 0; i < MEMO; i++) s->memo[i] = (Memo){0, 0, 0};
    s->buckets = buckets;
    s->nbuckets = FIRST_BUCKETS;
    s->nsets = 0;
    s->fresh = 0;
    s->nfresh = 0;
    s->block = FIRST_BLOCK;
    s->full = 0;
    return c->sets = s;
}

/* A list, where one of the sets it was made of is all of it: that one. */
static int64_t same_list(const int64_t *sets, int64_t n, int64_t size) {
    for (int64_t i = 0; i < n; i++)
        if (sets[i] > 0 && ((const Set *)(intptr_t)sets[i])->size == size) return sets[i];
    return 0;
}

static int64_t finish(TdlrtCtx *c, Union *u, const int64_t *sets, int64_t n) {
    if (u->trie && u->n) spill(c, u);
    if (u->trie && u->trie->size == 1) return -1 - (int64_t)(u->trie->word << 6) - __builtin_ctzll(u->trie->bits);
    if (u->trie) return (int64_t)(intptr_t)u->trie;
    if (u->n < 2) return u->n ? -1 - (int64_t)u->member[0] : 0;
    int64_t same = same_list(sets, n, u->n);
    return same ? same : (int64_t)(intptr_t)list(c, u->member, u->n);
}

/* The union of n sets, in *all; a status. */
int tdlrt_set_union(TdlrtCtx *c, const int64_t *sets, int64_t n, int64_t *all) {
    Union u;
    u.trie = 0;
    u.n = 0;
    if (!arena(c)) return tdlrt_keep_failed(c);
    for (int64_t i = 0; i < n; i++)
        if (sets[i] && !(i && sets[i] == sets[i - 1])) add_set(c, &u, sets[i]);
    *all = finish(c, &u, sets, n);
    return c->sets->full ? tdlrt_keep_failed(c) : TDL_OK;
}

/* ---- members ---- */

int64_t tdlrt_set_size(int64_t set) { return set > 0 ? ((const Set *)(intptr_t)set)->size : set < 0; }

/* The k-th smallest member, from 0; -1 where there are not as many. */
int64_t tdlrt_set_at(int64_t set, int64_t k) {
    if (k < 0 || k >= tdlrt_set_size(set)) return -1;
    if (set < 0) return -1 - set;
    const Set *s = (const Set *)(intptr_t)set;
    if (is_list(s)) return ((const List *)s)->member[k];
    while (s->low) {
        if (k < s->low->size) {
            s = s->low;
        } else {
            k -= s->low->size;
            s = s->high;
        }
    }
    uint64_t bits = s->bits;
    for (; k > 0; k--) bits &= bits - 1;
    return (int64_t)(s->word << 6) + __builtin_ctzll(bits);
}
