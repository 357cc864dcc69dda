/* The grammar. Free of conflicts; each action is one call of build.h.
 *
 * Lines are gone when it starts: lines.c has put one "end of line" (T_SEP) between two statements and nowhere else.
 * After an error, syntax.c moves to the end of the statement, and `error` stands for that statement. */
%define api.pure full
%define api.prefix {tdlyy}
%define api.token.prefix {T_}
%define api.location.type {TdlSpan}
%define parse.error custom
%define parse.lac full
%define lr.default-reduction consistent
%locations
%param {Parse *p}

%code requires {
#include "frontend/build.h"
}

%code {
#define YYLLOC_DEFAULT(cur, rhs, n) \
    ((cur) = (n) ? parse_span(p, YYRHSLOC(rhs, 1).lo, YYRHSLOC(rhs, n).hi) \
                 : parse_span(p, YYRHSLOC(rhs, 0).hi, YYRHSLOC(rhs, 0).hi))
/* After `error`: what was read ahead is dropped, and reading goes on where syntax.c has moved to. */
#define RESYNC do { yyclearin; yyerrok; if (p->stopped) YYABORT; } while (0)
static int tdlyylex(YYSTYPE *v, YYLTYPE *at, Parse *p);
static void tdlyyerror(const YYLTYPE *at, Parse *p, const char *msg);
}

%union {
    const Tok *tok;
    AstExpr *expr;
    AstExprs exprs;
    AstArgs args;
    AstGens gens;
    AstNames names;
    AstType *type;
    AstTypes types;
    AstParams params;
    AstGenerics generics;
    AstStmt *stmt;
    AstBlock *block;
    AstDecl *decl;
    int op;
}

%token EOF 0 "end of file"
%token SEP "end of line" BAD "bad token" BAD_SEP ";"
%token <tok> NAME "name" INT "number" FLOAT "float" STRING "string"
%token FN "fn" LET "let" VAR "var" IF "if" ELSE "else" FOR "for" IN "in" WHILE "while"
%token BREAK "break" CONTINUE "continue" RETURN "return" EXPORT "export" EXTERN "extern" ASSERT "assert"
%token STRUCT "struct" USE "use" INPUT "input" DERIVATIVE "derivative" PARTIAL "partial"
%token <tok> REVERSE "reverse" FORWARD "forward" SCOPED "no_grad"
%token <tok> TRUE "true" FALSE "false" NONE "None" ELLIPSIS "..."
%token AND "and" OR "or" NOT "not"
%token PLUS "+" MINUS "-" STAR "*" SLASH "/" FLOORDIV "//" PERCENT "%" AT "@" POW "**"
%token EQ "==" NE "!=" LT "<" LE "<=" GT ">" GE ">="
%token ASSIGN "=" ADD_ASSIGN "+=" SUB_ASSIGN "-=" MUL_ASSIGN "*=" DIV_ASSIGN "/=" FLOORDIV_ASSIGN "//="
%token MOD_ASSIGN "%=" POW_ASSIGN "**=" MATMUL_ASSIGN "@=" DARROW "=>" ARROW "->"
%token LPAREN "(" RPAREN ")" LBRACK "[" RBRACK "]" LBRACE "{" RBRACE "}" COMMA "," COLON ":" DOT "." DOTDOT ".."

%left "or"
%left "and"
%precedence "not"
%nonassoc "==" "!=" "<" "<=" ">" ">="
%left "+" "-"
%left "*" "/" "//" "%" "@"
%precedence NEGATE
%right "**"

%type <block> block stmts else
%type <stmt> stmt
%type <decl> decl exportable ditems ditem
%type <expr> expr op atom cond cond_head range filter item_index opt_expr opt_default dim
%type <exprs> exprs indices dims opt_dims
%type <args> args arg_list
%type <gens> gens
%type <names> names pattern results
%type <type> type opt_type opt_result
%type <types> types opt_types
%type <params> params param_list fields field_list
%type <generics> generics generic_list
%type <op> update
%type <tok> opt_symbol field_name

%%

file: %empty
    | items
    ;
items
    : item
    | items SEP item
    ;
item: stmt                        { bld_block(p, p->top, $1); }
    | error                       { RESYNC; }
    ;

block
    : "{" "}"                     { $$ = bld_close(p, @$, NULL); }
    | "{" stmts "}"               { $$ = bld_close(p, @$, $2); }
    ;
stmts
    : stmt                        { $$ = bld_inner(p, NULL, $1); }
    | error                       { $$ = bld_inner(p, NULL, NULL); RESYNC; }
    | stmts SEP stmt              { $$ = bld_inner(p, $1, $3); }
    | stmts SEP error             { $$ = $1; RESYNC; }
    ;

/* ---- statements ---- */

stmt: "let" pattern opt_type "=" expr  { $$ = bld_bind(p, AST_LET, @$, $2, false, $3, $5); }
    | "let" "(" names ")" opt_type "=" expr  { $$ = bld_bind(p, AST_LET, @$, $3, true, $5, $7); }
    | "var" pattern opt_type "=" expr  { $$ = bld_bind(p, AST_VAR, @$, $2, false, $3, $5); }
    | "var" "(" names ")" opt_type "=" expr  { $$ = bld_bind(p, AST_VAR, @$, $3, true, $5, $7); }
    | expr                        { $$ = bld_expr_stmt(p, $1); }
    | expr "=" expr               { $$ = bld_assign(p, @$, @2, $1, -1, $3); }
    | expr update expr            { $$ = bld_assign(p, @$, @2, $1, $2, $3); }
    | "return"                    { $$ = bld_simple(p, AST_RETURN, @$, NULL, NULL); }
    | "return" expr               { $$ = bld_simple(p, AST_RETURN, @$, $2, NULL); }
    | "break"                     { $$ = bld_simple(p, AST_BREAK, @$, NULL, NULL); }
    | "continue"                  { $$ = bld_simple(p, AST_CONTINUE, @$, NULL, NULL); }
    | "for" NAME "in" range block { $$ = bld_for(p, @$, $2, $4, $5); }
    | "while" expr block          { $$ = bld_while(p, @$, $2, $3); }
    | SCOPED "for" NAME "in" range block { $$ = bld_again(p, $1, bld_for(p, @$, $3, $5, $6)); }
    | SCOPED "while" expr block   { $$ = bld_again(p, $1, bld_while(p, @$, $3, $4)); }
    | "assert" "(" expr opt_comma ")"           { $$ = bld_simple(p, AST_ASSERT, @$, $3, NULL); }
    | "assert" "(" expr "," expr opt_comma ")"  { $$ = bld_simple(p, AST_ASSERT, @$, $3, $5); }
    | decl                        { $$ = bld_decl_stmt(p, $1); }
    ;
pattern: names;
update
    : "+="                        { $$ = AST_OP_ADD; }
    | "-="                        { $$ = AST_OP_SUB; }
    | "*="                        { $$ = AST_OP_MUL; }
    | "/="                        { $$ = AST_OP_DIV; }
    | "//="                       { $$ = AST_OP_FLOORDIV; }
    | "%="                        { $$ = AST_OP_MOD; }
    | "**="                       { $$ = AST_OP_POW; }
    | "@="                        { $$ = AST_OP_MATMUL; }
    ;
names
    : NAME                        { $$ = bld_names(p, (AstNames){0}, $1); }
    | names "," NAME              { $$ = bld_names(p, $1, $3); }
    ;
range
    : expr
    | expr ".." expr              { $$ = bld_range(p, @2, $1, $3); }
    ;
opt_comma: %empty | ",";

/* ---- expressions ---- */

expr: op
    | "fn" "(" params ")" "=>" expr  { $$ = bld_lambda(p, @$, $3, $6); }
    ;
op  : atom
    | "-" op %prec NEGATE         { $$ = bld_unary(p, AST_OP_NEG, @$, $2); }
    | "not" op                    { $$ = bld_unary(p, AST_OP_NOT, @$, $2); }
    | op "or" op                  { $$ = bld_binary(p, AST_OP_OR, @2, $1, $3); }
    | op "and" op                 { $$ = bld_binary(p, AST_OP_AND, @2, $1, $3); }
    | op "==" op                  { $$ = bld_binary(p, AST_OP_EQ, @2, $1, $3); }
    | op "!=" op                  { $$ = bld_binary(p, AST_OP_NE, @2, $1, $3); }
    | op "<" op                   { $$ = bld_binary(p, AST_OP_LT, @2, $1, $3); }
    | op "<=" op                  { $$ = bld_binary(p, AST_OP_LE, @2, $1, $3); }
    | op ">" op                   { $$ = bld_binary(p, AST_OP_GT, @2, $1, $3); }
    | op ">=" op                  { $$ = bld_binary(p, AST_OP_GE, @2, $1, $3); }
    | op "+" op                   { $$ = bld_binary(p, AST_OP_ADD, @2, $1, $3); }
    | op "-" op                   { $$ = bld_binary(p, AST_OP_SUB, @2, $1, $3); }
    | op "*" op                   { $$ = bld_binary(p, AST_OP_MUL, @2, $1, $3); }
    | op "/" op                   { $$ = bld_binary(p, AST_OP_DIV, @2, $1, $3); }
    | op "//" op                  { $$ = bld_binary(p, AST_OP_FLOORDIV, @2, $1, $3); }
    | op "%" op                   { $$ = bld_binary(p, AST_OP_MOD, @2, $1, $3); }
    | op "@" op                   { $$ = bld_binary(p, AST_OP_MATMUL, @2, $1, $3); }
    | op "**" op                  { $$ = bld_binary(p, AST_OP_POW, @2, $1, $3); }
    ;
atom: INT                         { $$ = bld_literal(p, AST_INT, $1); }
    | FLOAT                       { $$ = bld_literal(p, AST_FLOAT, $1); }
    | STRING                      { $$ = bld_literal(p, AST_STRING, $1); }
    | "true"                      { $$ = bld_literal(p, AST_BOOL, $1); }
    | "false"                     { $$ = bld_literal(p, AST_BOOL, $1); }
    | "None"                      { $$ = bld_literal(p, AST_NONE, $1); }
    | NAME                        { $$ = bld_name(p, $1); }
    | "(" expr ")"                { $$ = bld_paren($2, @$); }
    | "(" ")"                     { $$ = bld_items(p, AST_TUPLE, @$, (AstExprs){0}); }
    | "(" expr "," ")"            { $$ = bld_items(p, AST_TUPLE, @$, bld_exprs(p, (AstExprs){0}, $2)); }
    | "(" expr "," exprs opt_comma ")"  { $$ = bld_items(p, AST_TUPLE, @$, bld_first(p, $2, $4)); }
    | "[" "]"                     { $$ = bld_items(p, AST_ARRAY, @$, (AstExprs){0}); }
    | "[" exprs opt_comma "]"     { $$ = bld_items(p, AST_ARRAY, @$, $2); }
    | "[" expr "for" gens filter "]"  { $$ = bld_gen(p, AST_COMP, @$, $2, $4, $5); }
    | atom "(" args ")"           { $$ = bld_call(p, @$, @2, $1, $3); }
    | atom "[" indices opt_comma "]"  { $$ = bld_index(p, @$, @2, $1, $3); }
    | atom "." field_name         { $$ = bld_field(p, @2, $1, $3); }
    | cond
    | block                       { $$ = bld_block_expr(p, $1); }
    | SCOPED block                { $$ = bld_scoped(p, @$, $1, $2); }
    ;
field_name: NAME | INT;
exprs
    : expr                        { $$ = bld_exprs(p, (AstExprs){0}, $1); }
    | exprs "," expr              { $$ = bld_exprs(p, $1, $3); }
    ;
cond: cond_head
    | cond_head "else" else       { $$ = bld_else(p, @$, $1, $3); }
    ;
cond_head
    : "if" expr block             { $$ = bld_if(p, @$, $2, $3); }
    ;
else: block
    | cond                        { $$ = bld_block_of(p, $1); }
    ;
gens: NAME "in" range             { $$ = bld_gens(p, (AstGens){0}, $1, $3); }
    | gens "," NAME "in" range    { $$ = bld_gens(p, $1, $3, $5); }
    ;
filter
    : %empty                      { $$ = NULL; }
    | "if" expr                   { $$ = $2; }
    ;
args: %empty                      { $$ = (AstArgs){0}; }
    | arg_list opt_comma
    | expr "for" gens filter      { $$ = bld_gen_arg(p, bld_gen(p, AST_GEN, @$, $1, $3, $4)); }
    ;
arg_list
    : expr                        { $$ = bld_args(p, (AstArgs){0}, NULL, $1); }
    | NAME "=" expr               { $$ = bld_args(p, (AstArgs){0}, $1, $3); }
    | arg_list "," expr           { $$ = bld_args(p, $1, NULL, $3); }
    | arg_list "," NAME "=" expr  { $$ = bld_args(p, $1, $3, $5); }
    ;
indices
    : item_index                  { $$ = bld_exprs(p, (AstExprs){0}, $1); }
    | indices "," item_index      { $$ = bld_exprs(p, $1, $3); }
    ;
item_index
    : expr
    | "..."                       { $$ = bld_literal(p, AST_ELLIPSIS, $1); }
    | opt_expr ":" opt_expr       { $$ = bld_slice(p, @$, $1, $3, NULL); }
    | opt_expr ":" opt_expr ":" opt_expr  { $$ = bld_slice(p, @$, $1, $3, $5); }
    ;
opt_expr
    : %empty                      { $$ = NULL; }
    | expr
    ;

/* ---- types ---- */

type: NAME                        { $$ = bld_type_name(p, @$, $1, false, (AstExprs){0}); }
    | NAME "[" opt_dims "]"       { $$ = bld_type_name(p, @$, $1, true, $3); }
    | "(" opt_types ")"           { $$ = bld_type_list(p, AST_TY_TUPLE, @$, $2, NULL); }
    | "fn" "(" opt_types ")" "->" type  { $$ = bld_type_list(p, AST_TY_FN, @$, $3, $6); }
    ;
opt_types
    : %empty                      { $$ = (AstTypes){0}; }
    | types opt_comma
    ;
types
    : type                        { $$ = bld_types(p, (AstTypes){0}, $1); }
    | types "," type              { $$ = bld_types(p, $1, $3); }
    ;
opt_dims
    : %empty                      { $$ = (AstExprs){0}; }
    | dims opt_comma
    ;
dims: dim                         { $$ = bld_exprs(p, (AstExprs){0}, $1); }
    | dims "," dim                { $$ = bld_exprs(p, $1, $3); }
    ;
dim : expr
    | ".." NAME                   { $$ = bld_pack(p, @$, $2); }
    ;
opt_type
    : %empty                      { $$ = NULL; }
    | ":" type                    { $$ = $2; }
    ;
opt_result
    : %empty                      { $$ = NULL; }
    | "->" type                   { $$ = $2; }
    ;

/* ---- declarations ---- */

decl: exportable
    | "export" exportable         { $$ = bld_exported(p, $2, @$); }
    | "export" "let" NAME "=" expr  { $$ = bld_exported(p, bld_let_decl(p, @$, $3, $5), @$); }
    | "@" NAME opt_sep decl       { $$ = bld_attr(p, @$, $2, $4); }
    | "extern" "fn" NAME generics "(" params ")" opt_result opt_symbol
                                  { $$ = bld_extern(p, @$, $3, $4, $6, $8, $9); }
    | "struct" NAME generics "{" fields "}"  { $$ = bld_struct(p, @$, $2, $3, $5); }
    | "use" STRING                { $$ = bld_use(p, @$, $2); }
    | "input" NAME ":" type       { $$ = bld_input(p, @$, $2, $4); }
    | "derivative" NAME generics "(" params ")" "->" results "{" ditems "}"
                                  { $$ = bld_derivative(p, @$, $2, $3, $5, $8, $10); }
    ;
opt_sep: %empty | SEP;
exportable
    : "fn" NAME generics "(" params ")" opt_result block  { $$ = bld_fn(p, @$, $2, $3, $5, $7, $8); }
    | "fn" NAME generics "(" params ")" opt_result "=" expr
                                  { $$ = bld_fn(p, @$, $2, $3, $5, $7, bld_block_of(p, $9)); }
    ;
generics
    : %empty                      { $$ = (AstGenerics){0}; }
    | "[" generic_list opt_comma "]"  { $$ = $2; }
    ;
generic_list
    : NAME                        { $$ = bld_generics(p, (AstGenerics){0}, $1, NULL, false); }
    | NAME ":" NAME               { $$ = bld_generics(p, (AstGenerics){0}, $1, $3, false); }
    | ".." NAME                   { $$ = bld_generics(p, (AstGenerics){0}, $2, NULL, true); }
    | generic_list "," NAME       { $$ = bld_generics(p, $1, $3, NULL, false); }
    | generic_list "," NAME ":" NAME  { $$ = bld_generics(p, $1, $3, $5, false); }
    | generic_list "," ".." NAME  { $$ = bld_generics(p, $1, $4, NULL, true); }
    ;
params
    : %empty                      { $$ = (AstParams){0}; }
    | param_list opt_comma
    ;
param_list
    : NAME opt_type opt_default   { $$ = bld_params(p, (AstParams){0}, $1, $2, $3); }
    | param_list "," NAME opt_type opt_default  { $$ = bld_params(p, $1, $3, $4, $5); }
    ;
opt_default
    : %empty                      { $$ = NULL; }
    | "=" expr                    { $$ = $2; }
    ;
opt_symbol
    : %empty                      { $$ = NULL; }
    | "=" STRING                  { $$ = $2; }
    ;
fields
    : %empty                      { $$ = (AstParams){0}; }
    | field_list
    | field_list ","              { $$ = $1; }
    ;
field_list
    : NAME ":" type               { $$ = bld_params(p, (AstParams){0}, $1, $3, NULL); }
    | error                       { $$ = (AstParams){0}; RESYNC; }
    | field_list field_end NAME ":" type  { $$ = bld_params(p, $1, $3, $5, NULL); }
    | field_list field_end error  { $$ = $1; RESYNC; }
    ;
field_end: SEP | ",";
results
    : NAME                        { $$ = bld_names(p, (AstNames){0}, $1); }
    | "(" names opt_comma ")"     { $$ = $2; }
    ;
ditems
    : ditem
    | ditems SEP ditem            { $$ = bld_join(p, $1, $3); }
    ;
ditem
    : "partial" NAME "=" expr     { $$ = bld_partial(p, $2, $4); }
    | REVERSE block               { $$ = bld_sweep(p, $1, $2); }
    | FORWARD block               { $$ = bld_sweep(p, $1, $2); }
    | "let" pattern opt_type "=" expr  { $$ = bld_shared(p, bld_bind(p, AST_LET, @$, $2, false, $3, $5)); }
    | error                       { $$ = NULL; RESYNC; }
    ;

%%

static int tdlyylex(YYSTYPE *v, YYLTYPE *at, Parse *p) {
    const Tok *t = &p->toks.p[p->next];
    p->cur = p->next;
    if (t->kind != 0) p->next++;
    v->tok = t;
    *at = tok_span(p, t);
    return t->kind;
}

static int yyreport_syntax_error(const yypcontext_t *ctx, Parse *p) {
    enum { CAP = YYNTOKENS };
    yysymbol_kind_t kinds[CAP];
    const char *names[CAP];
    int n = yypcontext_expected_tokens(ctx, kinds, CAP);
    for (int i = 0; i < n; i++) names[i] = yysymbol_name(kinds[i]);
    syntax_error(p, names, n < 0 ? 0 : n);
    return 0;
}

/* Called for one thing only: the parser's stack is full. */
static void tdlyyerror(const YYLTYPE *at, Parse *p, const char *msg) {
    (void)msg;
    syntax_too_deep(p, *at);
}

void parse_tokens(Parse *p) { tdlyyparse(p); }

const char *parse_token_name(int kind) { return yysymbol_name(YYTRANSLATE(kind)); }
