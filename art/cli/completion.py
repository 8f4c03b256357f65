"""`art completion`: scripts by which shells complete commands, keys, versions and tags."""

from enum import Enum
from typing import Annotated

import typer

from art.cli.common import Output, shared

_BASH = r"""
# bash completion for art, made by `art completion bash`
_art() {
    local line=${COMP_LINE:0:COMP_POINT} current prefix="" breaks word
    local -a typed
    read -ra typed <<<"$line"
    [[ $line == *[[:space:]] ]] && typed+=("")
    current=${typed[${#typed[@]}-1]}
    # bash cuts words at these too, and completes only what comes after the last one
    breaks=${COMP_WORDBREAKS//[^@:=]/}
    [[ -n $breaks ]] && prefix=${current%"${current##*[$breaks]}"}
    COMPREPLY=()
    while IFS= read -r word; do
        [[ -n $word ]] && COMPREPLY+=("${word#"$prefix"}")
    done < <(
        COMP_WORDS="${typed[*]}" COMP_CWORD=$((${#typed[@]} - 1)) \
            _ART_COMPLETE=complete_bash "$1" 2>/dev/null
    )
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _art art
"""

_ZSH = r"""
#compdef art
# zsh completion for art, made by `art completion zsh`
_art() {
  local -a values shown
  local value help described=0
  while IFS=$'\t' read -r value help; do
    [[ -n $value ]] || continue
    values+=("$value")
    shown+=("${(r:24:)value} $help")
    [[ -n $help ]] && described=1
  done < <(
    _TYPER_COMPLETE_ARGS="${words[1,CURRENT]}" _TYPER_COMPLETE_FISH_ACTION=get-args \
      _ART_COMPLETE=complete_fish "${words[1]}" 2>/dev/null
  )
  if (( ! ${#values} )); then
    _files
  elif (( described )); then
    compadd -l -d shown -a values
  else
    compadd -a values
  fi
}
if [[ $funcstack[1] == _art ]]; then _art "$@"; else compdef _art art; fi
"""

_FISH = r"""
# fish completion for art, made by `art completion fish`
function __art_complete
    env _ART_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=$argv[1] \
        _TYPER_COMPLETE_ARGS=(commandline -cp) art 2>/dev/null
end
complete --command art --no-files --condition '__art_complete is-args' \
    --arguments '(__art_complete get-args)'
"""

_POWERSHELL = r"""
# PowerShell completion for art, made by `art completion powershell`
Register-ArgumentCompleter -Native -CommandName art -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $Env:_ART_COMPLETE = "complete_powershell"
    $Env:_TYPER_COMPLETE_ARGS = $commandAst.ToString()
    $Env:_TYPER_COMPLETE_WORD_TO_COMPLETE = $wordToComplete
    art 2>$null | ForEach-Object {
        $value, $help = $_ -split ":::", 2
        New-Object System.Management.Automation.CompletionResult $value, $value, "Text", $help
    }
    $Env:_ART_COMPLETE = ""
    $Env:_TYPER_COMPLETE_ARGS = ""
    $Env:_TYPER_COMPLETE_WORD_TO_COMPLETE = ""
}
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}


class Shell(str, Enum):
    """A shell that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


@shared
def command(
    output: Output, shell: Annotated[Shell, typer.Argument(help="Your shell", metavar="SHELL")]
) -> None:
    """Print the completion script for bash, zsh, fish or powershell

    Keys, versions, tags and paths are completed from the repository on disk.

    \b
    Examples:
      art completion bash > ~/.local/share/bash-completion/completions/art
      art completion zsh > "${fpath[1]}/_art"
      art completion fish > ~/.config/fish/completions/art.fish
      art completion powershell >> $PROFILE
    """
    script = _SCRIPTS[shell.value].strip("\n")
    output.show(script, {"shell": shell.value, "script": script})
