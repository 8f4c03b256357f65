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
