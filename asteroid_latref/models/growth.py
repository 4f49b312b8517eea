"""Depth that changes: one more block, or only the first ones, with the weights carried over."""

from typing import Any

from typing_extensions import Self


class Growing:
    """Growing and cutting for models whose state dict of a prefix is part of the whole one's."""

    config: dict[str, Any]
    n_blocks: int
    n_iters: tuple[int, ...]
    exit_blocks: tuple[int, ...]
    iters_arg: str
    task: str | None

    def grow(self, warm_exit: bool = False) -> Self:
        """A new model with one more block and its exit; everything else carries its weights over.

        The new block is iterated as often as the last one. It is initialised at random (seed with
        ``torch.manual_seed``), and so is its exit, unless it starts as a copy of the one before.

        Args:
            warm_exit: start the new exit's mask net and decoder from those of the last exit.

        Reference:
            LIR §2.2; BLOOM-Net §2.2, step L to L + 1.
        """
        grown: Any = self._resized(self.n_blocks + 1, self.config["exits"])
        if warm_exit:
            mine: Any = self
            last, new = str(self.n_blocks), str(grown.n_blocks)
            for exits, ours in (
                (grown.masker.mask_nets, mine.masker.mask_nets),
                (grown.decoder, mine.decoder),
            ):
                exits[new].load_state_dict(ours[last].state_dict())
        return grown

    def truncate(self, n_blocks: int, exits: str = "last") -> Self:
        """A stand-alone model of the first ``n_blocks`` blocks, with the outputs of that exit.

        Args:
            n_blocks: blocks to keep, one of ``exit_blocks``.
            exits: ``"last"``: only the exit behind them; ``"all"``: the earlier ones too.

        Raises:
            ValueError: no exit behind ``n_blocks``, or earlier exits asked of a model that has
                none.
        """
        if n_blocks not in self.exit_blocks:
            raise ValueError(f"n_blocks={n_blocks!r}: exits are behind blocks {self.exit_blocks}")
        if exits == "all" and self.config["exits"] != "all":
            raise ValueError('exits="all": this model has only its last exit')
        return self._resized(n_blocks, exits)

    def freeze_before_last(self) -> Self:
        """Leaves only the last block and its exit trainable; returns the model.

        Everything before them then runs without a graph, so it costs no memory for backward.

        Reference:
            LIR §2.2; BLOOM-Net §2.2.
        """
        last = f"{self.n_blocks}."
        trainable = (f"masker.blocks.{self.n_blocks - 1}.", "masker.mask_nets." + last)
        for name, parameter in self.named_parameters():  # type: ignore[attr-defined]
            parameter.requires_grad_(name.startswith((*trainable, "decoder." + last)))
        return self

    def _resized(self, n_blocks: int, exits: str) -> Self:
        n_iters = self.n_iters[:n_blocks] + self.n_iters[-1:] * (n_blocks - self.n_blocks)
        same = len(set(n_iters)) == 1
        args = self.config | {
            "n_blocks": n_blocks,
            self.iters_arg: n_iters[0] if same else list(n_iters),
            "exits": exits,
        }
        resized = type(self)(**args)
        resized.task = self.task
        state = resized.state_dict()  # type: ignore[attr-defined]
        mine = self.state_dict()  # type: ignore[attr-defined]
        carried = {k: v.clone() for k, v in mine.items() if k in state}
        resized.load_state_dict(state | carried)  # type: ignore[attr-defined]
        like = next(self.parameters())  # type: ignore[attr-defined]
        return resized.to(like).train(self.training)  # type: ignore[attr-defined]
