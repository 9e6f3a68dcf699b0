from __future__ import annotations

import pytest
from createos_netconfig.errors import NetconfigError
from createos_netconfig.nft import Nft


def test_nonsense_is_refused_in_nfts_own_words() -> None:
    with pytest.raises(NetconfigError, match=r"nftables refused the rules: .+") as refused:
        Nft().apply([{"add": {"table": {"family": "no-such-family", "name": "x"}}}])

    assert "\n" not in refused.value.reason
    assert refused.value.hint


def test_a_question_that_nft_does_not_know_is_an_error() -> None:
    with pytest.raises(NetconfigError, match="nftables cannot be asked"):
        Nft().list("nonsense")
