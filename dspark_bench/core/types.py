"""Data that crosses floors: requests, and what a cycle's stages hand each other.

Letters: B requests, T tokens flattened over requests, K draft slots, V vocabulary, D hidden,
m target layers whose outputs a drafter reads.
"""

from dataclasses import dataclass, field
from typing import Final

from torch import Tensor

from dspark_bench.core.random_streams import Floats

GREEDY_BELOW = 1e-5


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the target's distribution is shaped before a token is drawn from it.

    temperature: 0 means greedy; top_k: 0 means all tokens; top_p: 1 means all of the mass.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    @property
    def is_greedy(self) -> bool:
        """Whether the argmax is taken instead of a draw."""
        return self.temperature < GREEDY_BELOW


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt to be continued. `request_id` keys its random streams.

    continuation: an output that the target once gave, to at least max_new_tokens + gamma tokens or
    its end; acceptances that follow a record walk along it, others ignore it. Empty: none.
    """

    request_id: int
    prompt_id: str
    domain: str
    prompt_tokens: tuple[int, ...]
    max_new_tokens: int
    continuation: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ContextUpdate:
    """Tokens that have become context for good, with the target's hidden states.

    rows [B]: cache row of each request; starts [B]: position of its first new token;
    counts [B]: how many new tokens; token_ids [T]; next_token_ids [T]: the token after each (the
    last one of a request is its new anchor); features [T, m*D]: chosen layers, concatenated;
    prompt_lens [B]: tokens of each request's prompt, read or not; empty where nobody says.
    """

    rows: tuple[int, ...]
    starts: tuple[int, ...]
    counts: tuple[int, ...]
    token_ids: Tensor
    next_token_ids: Tensor
    features: Tensor
    prompt_lens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftBatch:
    """What a drafter may see when it proposes.

    rows [B]; context_lens [B]: committed tokens, which is also the anchor's position; anchors [B];
    draft_lens [B]: 1..gamma each; uniform [B, K] float64 in [0, 1): one number per slot (for trees
    that are drawn: per node, up to `DrafterSpec.num_nodes`);
    forced [B, K]: tokens to score instead of drawing (teacher forcing), or None; target_rows [B]:
    rows of the target's cache, which may change from cycle to cycle, unlike `rows`;
    wants_confidence: somebody reads confidences, so that those without a head make a stand-in, and
    trees say what their nodes are worth. K is the largest draft length.
    """

    rows: tuple[int, ...]
    context_lens: tuple[int, ...]
    anchors: Tensor
    draft_lens: tuple[int, ...]
    sampling: SamplingParams
    uniform: Tensor
    forced: Tensor | None = None
    target_rows: tuple[int, ...] = ()
    wants_confidence: bool = False

    @property
    def num_slots(self) -> int:
        """K."""
        return max(self.draft_lens)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Drafts of B requests. Entries past a request's draft length are meaningless.

    token_ids [B, K] int64; probs [B, K, V] fp32: the distribution each token was really drawn from,
    None when greedy; confidence [B, K] fp32: conditional acceptance estimates, None of a drafter
    that has none or was not asked for a stand-in. That of a slot never looks at the slot's own
    token.

    draft_lens [B]: tokens that it found to propose, 0 to as many as were asked for (of a tree: its
    nodes); None: as many as were asked for. certain [B, K] int64: of a drafter that draws nothing,
    the token that it proposes at each slot whatever is forced: its distribution is all on that
    token, so `probs` is None and nothing of the vocabulary's size is made.

    parents [B][draft_lens]: of a tree, each node's parent among the request's own nodes, -1 for the
    anchor; a parent comes before its children, and siblings carry different tokens, but for those
    that were drawn with replacement. K is then the most nodes of a request. Of a tree that was
    drawn, probs holds what each node was drawn from, over the first W tokens of the vocabulary.
    None: chains. survival [B, K] fp32: of a tree whose policy estimates it, the probability that
    each node stands, falling from node to node; None where nobody asked.
    """

    token_ids: Tensor
    probs: Tensor | None
    confidence: Tensor | None
    draft_lens: tuple[int, ...] | None = None
    certain: Tensor | None = None
    parents: tuple[tuple[int, ...], ...] | None = None
    survival: Tensor | None = None

    @property
    def is_deterministic(self) -> bool:
        """Whether the drafts follow from the context alone: each has draft probability 1."""
        return self.certain is not None


@dataclass(frozen=True, slots=True)
class Findings:
    """What a cycle shows beside its verdict: for the records alone, so it takes none of its time.

    expected_acceptance [D, K]: sum over the vocabulary of min(target, draft) at each verified slot,
    0 elsewhere, None when greedy; margins [B, K+1]: gap between the two largest target logits per
    row, greedy only, as are largest and best [B, K+1]: the largest logit, and its token.
    """

    expected_acceptance: Tensor | None = None
    margins: Tensor | None = None
    largest: Tensor | None = None
    best: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is on record behind the anchors of one cycle.

    token_ids [B, K+1] int64: the tokens that follow each anchor, the last one repeated past the end
    of a record; keys [B]: of each request's random streams; places [B]: index in the output of the
    first of these tokens.
    """

    token_ids: Tensor
    keys: tuple[int, ...]
    places: tuple[int, ...]


CONFIDENCE_HEAD: Final = "head"
LARGEST_PROBABILITY: Final = "largest_probability"
HISTORY: Final = "history"
CONFIDENCE_KINDS: Final = (CONFIDENCE_HEAD, LARGEST_PROBABILITY, HISTORY)
"""Where confidences come from: a head that was trained to give them, or the largest probability of
the distribution that a slot's token is drawn from, or how often earlier drafts
of the same making stood. All are known before that token."""


@dataclass(frozen=True, slots=True)
class DrafterSpec:
    """What the engine must know about a drafter. `max_gamma` is what it was trained for, None where
    nobody knows.

    notes: what a reader of its figures must know; falls_short: it may propose fewer tokens than it
    is asked for; can_branch: it is a `BranchingDrafter`, from which trees can be grown; num_nodes:
    it proposes trees of up to so many nodes, the anchor not counted; None: chains;
    reads_target_cache: it is a `models.shared_cache.CacheReader`; draws_nodes: its trees are drawn,
    with a number for every node; confidence_kind: one of `CONFIDENCE_KINDS`, of no meaning without
    `has_confidence`.
    """

    name: str
    max_gamma: int | None
    feature_layers: tuple[int, ...]
    has_confidence: bool
    notes: tuple[str, ...] = ()
    falls_short: bool = False
    can_branch: bool = False
    num_nodes: int | None = None
    reads_target_cache: bool = False
    draws_nodes: bool = False
    confidence_kind: str = CONFIDENCE_HEAD


@dataclass(frozen=True, slots=True)
class TreeSpec:
    """What the engine must know about a tree policy.

    num_nodes: the most nodes of a tree, the anchor not counted; depth: of its deepest node, None:
    as deep as drafts are long; num_choices: tokens that a drafter must be able to tell apart;
    is_sampled: it is a `DrawnTreePolicy`, whose trees are drawn; has_survival: its trees say what
    their nodes are worth, and follow from the context alone, so that a scheduler may cut them.
    """

    name: str
    num_nodes: int
    depth: int | None
    num_choices: int
    is_sampled: bool = False
    has_survival: bool = False


@dataclass(frozen=True, slots=True)
class DraftTree:
    """One request's tree. parents: as in `Proposal`; token_ids: one for each node; probs
    [nodes, W]: what each was drawn from, W up to the vocabulary's size; None: nothing was drawn;
    survival: the estimated probability that each node stands, the product of its prefix's; empty:
    not estimated; it takes no part in comparisons.
    """

    token_ids: tuple[int, ...]
    parents: tuple[int, ...]
    probs: Tensor | None = None
    survival: tuple[float, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class SchedulerSpec:
    """What the engine must know about a scheduler.

    is_non_anticipating: verifying position k never depends on the tokens at k or later;
    is_selective: verify lengths depend on confidences, so acceptance is a selected sample;
    needs_confidence: it cannot work with a drafter that gives no confidences;
    exploration_period: in one of so many decode cycles, counted over all runs of an engine (more
    often in the first ones), it drafts and verifies gamma tokens for every request, whatever the
    scheduler would choose, and marks them `full_width`; 0: never;
    needs_hindsight: it is told the accepted lengths before it chooses (an upper bound, never
    lossless); knows_trees: its lengths may be numbers of nodes; cuts_trees: of a tree it
    verifies the first nodes, in order of survival, though of chains it reads no confidences.
    """

    name: str
    is_non_anticipating: bool = True
    is_selective: bool = False
    needs_confidence: bool = False
    exploration_period: int = 0
    needs_hindsight: bool = False
    knows_trees: bool = False
    cuts_trees: bool = False

    @property
    def reads_survival(self) -> bool:
        """Whether trees must say what their nodes are worth."""
        return self.needs_confidence or self.cuts_trees


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What a scheduler sees of the batch: identities and earlier cycles, never this cycle's draws.

    request_ids [B]: those it chooses for; cycles [B]: decode cycles each has had; gamma: largest
    draft length; num_requests: in the whole batch, B or more; hindsight [B]: accepted length if
    everything were verified, for schedulers that need it; num_nodes: the most nodes of a tree,
    None: drafts are chains; survival [B, N]: of this cycle's trees, before they are verified, as in
    `Proposal`. Trees are no draws: they follow from what was committed before.

    Prompts in the batch are left out on purpose. They are read once whatever is drafted, so they
    belong to no choice; as part of the cycle's time they would make every draft look cheap.
    """

    request_ids: tuple[int, ...]
    cycles: tuple[int, ...]
    gamma: int
    num_requests: int
    hindsight: tuple[int, ...] | None = None
    num_nodes: int | None = None
    survival: Floats | None = None
