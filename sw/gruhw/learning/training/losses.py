"""What training minimises: wrong classes or wrong values, and the distance from a teacher."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gruhw.learning.tasks import Split
from gruhw.network.normalisation import Span, learnt


@dataclass(frozen=True)
class Objective:
    """What the heads of networks are to give.

    Parameters
    ----------
    span
        Relative to which heads compute values; None if they compute them as they are.
    distillation, temperature
        See :class:`gruhw.learning.training.recipe.Recipe`; nothing is learnt from a teacher if
        absent.
    """

    span: Span | None = None
    distillation: float = 0.0
    temperature: float = 1.0

    def loss(self, found: Tensor, batch: Split, soft: Tensor | None = None) -> Tensor:
        """The loss of what heads gave, of shape [G, N, outputs], summed over the G networks.

        ``soft`` is what the teacher gave, of shape [N, outputs], or None without distillation. At
        every step, both have shapes [..., N, T, outputs], and all steps count the same.
        """
        right = torch.tensor(learnt(batch, self.span).y)
        if batch.of_every_step:
            counted = torch.tensor(batch.counted)
            found, right = found[:, counted], right[counted]
            soft = None if soft is None else soft[counted]
        if batch.of_classes:
            return distilled_loss(found, soft, right, self.distillation, self.temperature)
        wrong = _squared(found, right.float())
        if soft is None:
            return wrong
        return (1 - self.distillation) * wrong + self.distillation * _squared(found, soft)


def _squared(found: Tensor, right: Tensor) -> Tensor:
    """The mean squared error of each network; their sum."""
    return (found - right).square().mean((1, 2)).sum()


def distilled_loss(
    logits: Tensor, soft: Tensor | None, labels: Tensor, distillation: float, temperature: float
) -> Tensor:
    """The loss of logits [G, N, outputs], summed over the G networks.

    Parameters
    ----------
    logits
        One for each of the classes; or one that says how far class 1 is from class 0, whose own
        logit is 0: that is binary cross-entropy.
    soft
        The teacher's logits, shape [N, outputs]; only without distillation None.
    labels
        Shape [N].
    distillation, temperature
        See :class:`gruhw.learning.training.recipe.Recipe`.
    """
    logits, soft = _of_classes(logits), None if soft is None else _of_classes(soft)
    members, count, classes = logits.shape
    hard = nn.functional.cross_entropy(
        logits.reshape(-1, classes), labels.repeat(members), reduction="sum"
    )
    if soft is None:
        return hard / count
    target = torch.softmax(soft / temperature, 1).expand(members, -1, -1)
    found = torch.log_softmax(logits / temperature, 2)
    distance = nn.functional.kl_div(found, target, reduction="sum") * temperature**2
    return ((1 - distillation) * hard + distillation * distance) / count


def _of_classes(logits: Tensor) -> Tensor:
    """A logit for each of at least two classes."""
    if logits.shape[-1] > 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], dim=-1)
